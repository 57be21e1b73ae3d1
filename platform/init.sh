#!/bin/sh
# Databases and roles, when the data of PostgreSQL is made: its image runs this once, before it lets
# anybody in. What is to be made was written by `stagepost containers prepare`. It may also be read
# into the image's own script, so it ends nothing. Of an error only the first line is told: the
# others may have a password in them.
PGPASSWORD="$POSTGRES_PASSWORD" psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 \
  --set=VERBOSITY=terse --username="$POSTGRES_USER" --dbname=postgres --file="$INIT_SQL"
