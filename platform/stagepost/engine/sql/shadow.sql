-- A view's table beside the live one, under its name in a schema that is searched before. Names in
-- braces are quoted identifiers that the engine makes, because none of these takes parameters.

-- name: live
-- In which schema the live table is.
SELECT quote_ident(n.nspname) AS home FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = $1 AND n.nspname = current_schema()

-- name: special
-- Is it of a kind of which no statement here makes another?
SELECT relhastriggers OR relrowsecurity OR relkind <> 'r' FROM pg_class WHERE oid = $1::text::regclass

-- name: temporary
-- For a comparison: it holds whatever the events make, also what the live table would refuse.
CREATE TEMPORARY TABLE {view} (LIKE {live}, PRIMARY KEY ({key}))

-- name: beside
-- To take the place of the live one. What a rebuild that was killed has left goes first.
DROP SCHEMA IF EXISTS {schema} CASCADE;
CREATE SCHEMA {schema};
CREATE TABLE {schema}.{view} (LIKE {live} INCLUDING ALL EXCLUDING INDEXES)

-- name: completion
-- What the live table has and its copy has not, as statements: indexes and constraints under their
-- own names, so that migrations find them; rights; options; what it says about itself.
WITH live AS (SELECT *, format('%I.%I', $1::text, $2::text) AS copy FROM pg_class WHERE oid = $3::text::regclass),
rights AS (
  SELECT relacl AS acl, '' AS columns FROM live UNION ALL
  SELECT attacl, format('(%I)', attname) FROM live JOIN pg_attribute ON attrelid = live.oid WHERE attacl IS NOT NULL)
SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', copy, k.conname, pg_get_constraintdef(k.oid))
  FROM live JOIN pg_constraint k ON conrelid = live.oid WHERE contype IN ('p', 'u', 'x')
UNION ALL
SELECT replace(pg_get_indexdef(indexrelid), format(' ON %I.%I USING ', n.nspname, relname), format(' ON %s USING ', copy))
  FROM live JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_index ON indrelid = live.oid
 WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = indexrelid AND contype IN ('p', 'u', 'x'))
UNION ALL
SELECT format('GRANT %s %s ON %s TO %s %s', privilege_type, columns, copy,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
              CASE WHEN is_grantable THEN 'WITH GRANT OPTION' END)
  FROM live, rights, aclexplode(acl)
UNION ALL
SELECT format('ALTER TABLE %s SET (%s)', copy, array_to_string(reloptions, ', ')) FROM live WHERE reloptions IS NOT NULL
UNION ALL
SELECT format('COMMENT ON TABLE %s IS %L', copy, obj_description(oid, 'pg_class')) FROM live
 WHERE obj_description(oid, 'pg_class') IS NOT NULL

-- name: differences
-- Rows that are not the same, by key, and how many there are; a row that one side lacks is NULL there.
SELECT coalesce(stored.{key}, replayed.{key})::text AS key, count(*) OVER () AS differences,
       CASE WHEN stored.{key} IS NOT NULL THEN to_jsonb(stored)::text END AS stored,
       CASE WHEN replayed.{key} IS NOT NULL THEN to_jsonb(replayed)::text END AS replayed
  FROM {live} stored FULL JOIN {shadow} replayed ON stored.{key} = replayed.{key}
 WHERE stored IS DISTINCT FROM replayed ORDER BY 1 LIMIT $1

-- name: rows
SELECT count(*) FROM {live}

-- name: standing
-- How far a view is folded, how many events it is behind, and when it was rebuilt.
WITH folded AS (SELECT coalesce((SELECT position FROM cursors WHERE reader = $1), 0) AS position)
SELECT position, (SELECT count(*) FROM stored_events WHERE notification_id > position) AS lag,
       (SELECT rebuilt_at FROM rebuilds WHERE view = $2) AS rebuilt_at
  FROM folded

-- name: snapshots
-- One page of them, of each stream the oldest first.
SELECT originator_id, originator_version, topic, state FROM (TABLE snapshots UNION ALL TABLE past_snapshots) AS s
 WHERE (originator_id, originator_version) > ($1, $2) ORDER BY originator_id, originator_version LIMIT $3

-- name: hold_cursor
-- Nobody folds into the view from now on until this transaction ends.
INSERT INTO cursors AS c VALUES ($1, 'stored_events', 0, 0, 0, 0)
ON CONFLICT (reader, source, incarnation, partition) DO UPDATE SET position = c.position RETURNING position

-- name: hold_table
-- Nor does anybody read it.
LOCK TABLE {live} IN ACCESS EXCLUSIVE MODE

-- name: swap
-- Statements that were prepared find the new table by its name, and its columns are the same.
DROP TABLE {live};
ALTER TABLE {schema}.{view} SET SCHEMA {home};
DROP SCHEMA {schema}

-- name: note
-- When a view was rebuilt.
INSERT INTO rebuilds AS r VALUES ($1, clock_timestamp(), $2, $3, $4)
ON CONFLICT (view) DO UPDATE SET rebuilt_at = EXCLUDED.rebuilt_at, position = EXCLUDED.position,
  seconds = EXCLUDED.seconds, differences = EXCLUDED.differences

-- name: alone
-- One rebuild of a view at a time; it ends with the connection, however that ends. Nor is the database
-- migrated meanwhile: the migrators' lock, shared.
SELECT pg_try_advisory_lock(hashtext('stagepost.rebuild'), hashtext($1)) AS is_alone,
       pg_try_advisory_lock_shared($2) AS is_settled

-- name: abandon
DROP SCHEMA IF EXISTS {schema} CASCADE
