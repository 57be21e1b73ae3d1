-- A service draws the numbers of its events and sets none. `log_position` it must be able to set: a
-- database that was set back goes on above what it had told (`raise_incarnation`). By setting that one
-- back it would gain nothing: it inserts into its logs itself, and no position is taken twice.
REVOKE SELECT, UPDATE ON SEQUENCE stored_events_notification_id_seq FROM stagepost_service;
