-- Roles and databases of a stack. Every name and password in braces was made by the
-- stack itself (a package name, hexadecimal digits), because none of these takes parameters.

-- name: quiet
-- What follows has passwords in it: none of it stands in the server's log, also where it fails.
SET log_min_error_statement = panic;
SET log_statement = none;
SET log_min_duration_statement = -1;

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
-- A role that may log in, with the password that the folder of the stack has for it. Every role may
-- change its own password and settings: what it has set for itself is undone.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE "{role}"; END IF;
END $$;
ALTER ROLE "{role}" LOGIN PASSWORD '{password}';
ALTER ROLE "{role}" RESET ALL;

-- name: limit
-- A role that takes all connections it can get leaves the others theirs.
ALTER ROLE "{role}" CONNECTION LIMIT {connections};

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
-- Let one role in, without what it has set for itself there.
GRANT CONNECT ON DATABASE "{database}" TO "{role}";
ALTER ROLE "{role}" IN DATABASE "{database}" RESET ALL;

-- name: scratch
-- Let one role make temporary tables there: what it replays, it compares with what is stored.
GRANT TEMPORARY ON DATABASE "{database}" TO "{role}";

-- name: no_large_objects
-- In each database: everybody could make large objects and fill them, as no table is asked.
DO $$ DECLARE each regprocedure; BEGIN
  FOR each IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
      AND proname ~ '^(lo_|loread$|lowrite$)' AND has_function_privilege('public', oid, 'EXECUTE') LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', each);
  END LOOP;
END $$;

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
