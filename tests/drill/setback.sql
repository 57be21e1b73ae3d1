-- Sets the database of one service back; names in braces are the drill's own.

-- name: shut
-- Nobody may connect, and nobody is connected.
ALTER DATABASE "{database}" ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}';

-- name: copy
-- As it is at this moment.
CREATE DATABASE "{database}_before" OWNER "{database}_owner" TEMPLATE "{database}" STRATEGY file_copy;

-- name: open
-- Everybody may connect again.
ALTER DATABASE "{database}" ALLOW_CONNECTIONS true;

-- name: exchange
-- The copy takes its place; what it had become is gone.
ALTER DATABASE "{database}" RENAME TO "{database}_lost";
ALTER DATABASE "{database}_before" RENAME TO "{database}";
DROP DATABASE "{database}_lost";

-- name: state
-- How many commits there are, and which life this is.
SELECT (SELECT count(*) FROM inbox) AS commits, incarnation FROM incarnation
