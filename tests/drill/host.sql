-- What a fault of the host does to one service's database. Names in braces are the fault's.

-- name: full
-- As a server says it whose disk is full; the sequence counts, as no transaction takes it back.
CREATE SEQUENCE IF NOT EXISTS full_disk_hits;
GRANT USAGE ON SEQUENCE full_disk_hits TO stagepost_service;
CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM nextval('full_disk_hits');
  RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$;
CREATE OR REPLACE TRIGGER full_disk BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION full_disk();

-- name: refused
-- How many writes were refused so far: an unused sequence stands at 1, too.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM full_disk_hits

-- name: free
-- There is room again.
DROP TRIGGER IF EXISTS full_disk ON inbox;
DROP SEQUENCE IF EXISTS full_disk_hits;

-- name: clock
-- Who connects from now on finds this clock before PostgreSQL's own.
CREATE SCHEMA IF NOT EXISTS wrong_clock;
GRANT USAGE ON SCHEMA wrong_clock TO PUBLIC;
CREATE OR REPLACE FUNCTION wrong_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS $$ SELECT pg_catalog.clock_timestamp() + interval '{hours} hours' $$;
ALTER ROLE "{service}" SET search_path = wrong_clock, pg_catalog, public;
ALTER TABLE timers ALTER set_at SET DEFAULT wrong_clock.clock_timestamp();

-- name: right
-- The clock is right again, and nobody looks for another.
CREATE OR REPLACE FUNCTION wrong_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS $$ SELECT pg_catalog.clock_timestamp() $$;
ALTER ROLE "{service}" RESET search_path;
ALTER TABLE timers ALTER set_at SET DEFAULT pg_catalog.clock_timestamp();
