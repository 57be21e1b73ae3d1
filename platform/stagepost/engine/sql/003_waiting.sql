-- Instances that wait for a lease. Each says again and again that it is there: who is gone vanishes.
CREATE TABLE waiting (
  lease text NOT NULL,
  holder text NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (lease, holder)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON waiting TO stagepost_service;
GRANT SELECT ON waiting TO stagepost_auditor;
