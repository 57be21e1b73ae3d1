-- Roles and databases of a stack. Every name and password in braces was made by the
-- stack itself (a package name, hexadecimal digits), because none of these takes parameters.

-- name: groups
-- What migrations grant rights to: services write their own tables, auditors read.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stagepost_service') THEN
    CREATE ROLE stagepost_service NOLOGIN;
    CREATE ROLE stagepost_auditor NOLOGIN;
    REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
  END IF;
END $$;

-- name: role
-- A role that may log in, with the password that the folder of the stack has for it.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE "{role}"; END IF;
END $$;
ALTER ROLE "{role}" LOGIN PASSWORD '{password}';

-- name: join
-- Give a role the rights of a group.
GRANT {group} TO "{role}";

-- name: database
-- A database, owned by the role that migrates it: text sorts and compares alike on every server.
CREATE DATABASE "{database}" OWNER "{owner}" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';

-- name: close
-- Nobody connects to a database but its owner, its service and the auditor.
REVOKE ALL ON DATABASE "{database}" FROM PUBLIC;

-- name: open
-- Let one role in.
GRANT CONNECT ON DATABASE "{database}" TO "{role}";

-- name: scratch
-- Let one role make temporary tables there: what it replays, it compares with what is stored.
GRANT TEMPORARY ON DATABASE "{database}" TO "{role}";

-- name: foreign
-- A database as a schema of the audit database, read as the auditor. It is made again at every
-- start: the socket is elsewhere then, and there may be new tables.
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
DROP SCHEMA IF EXISTS "{database}" CASCADE;
DROP SERVER IF EXISTS "{database}" CASCADE;
CREATE SERVER "{database}" FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host '{host}', port '{port}', dbname '{database}', fetch_size '10000');
CREATE USER MAPPING FOR CURRENT_USER SERVER "{database}" OPTIONS (user 'auditor', password '{password}');
CREATE USER MAPPING FOR auditor SERVER "{database}" OPTIONS (user 'auditor', password '{password}');
CREATE SCHEMA "{database}";
IMPORT FOREIGN SCHEMA public FROM SERVER "{database}" INTO "{database}";
GRANT USAGE ON SCHEMA "{database}" TO stagepost_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA "{database}" TO stagepost_auditor;
