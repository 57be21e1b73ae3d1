-- How the services work together on this data: their style, and the transports that were named. Who
-- writes a message under one and reads under another would miss it.
CREATE TABLE flow (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  style text NOT NULL,
  transports text NOT NULL
);

GRANT SELECT, INSERT ON flow TO stagepost_service;
GRANT SELECT ON flow TO stagepost_auditor;

-- Who has been at work before this was noted was orchestrated, over one broker.
INSERT INTO flow (style, transports) SELECT 'orchestrated', '{}' WHERE EXISTS (SELECT FROM inbox);
