-- When a timer was set: one that was set later than now was set by a clock that is set back since.
ALTER TABLE timers ADD set_at timestamptz NOT NULL DEFAULT clock_timestamp();
