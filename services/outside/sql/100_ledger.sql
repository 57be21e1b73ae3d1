-- The ledgers of the world around us. Rows are only ever added: what was answered under a key is
-- answered for ever. `number` counts the entries of a reference: of two writers that saw the same
-- past, one fails.

-- What the payment provider did. `amount` is what moved, so its sum over a reference is what is held.
CREATE TABLE charges (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  idempotency_key text NOT NULL UNIQUE,
  reference text NOT NULL,
  number int NOT NULL,
  order_id text NOT NULL,
  kind text NOT NULL,
  amount bigint NOT NULL,
  currency text,
  answer text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (reference, number),
  CHECK (CASE kind
    WHEN 'charge' THEN amount >= 0
    WHEN 'refund' THEN amount <= 0
    WHEN 'declined' THEN amount = 0
    WHEN 'repeated' THEN amount = 0
    ELSE false END)
);

-- What the carrier did. `lines` and `units` are what left the house.
CREATE TABLE parcels (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  idempotency_key text NOT NULL UNIQUE,
  reference text NOT NULL,
  number int NOT NULL,
  order_id text NOT NULL,
  kind text NOT NULL,
  lines jsonb NOT NULL,
  units bigint NOT NULL,
  answer text NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (reference, number),
  CHECK (CASE kind
    WHEN 'dispatched' THEN units > 0
    WHEN 'refused' THEN units = 0
    WHEN 'repeated' THEN units = 0
    ELSE false END)
);

-- Answers that were kept back, so that a restart does not begin to count them anew.
CREATE TABLE lost_answers (
  idempotency_key text NOT NULL,
  nth int NOT NULL,
  lost_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (idempotency_key, nth)
);

GRANT SELECT, INSERT ON charges, parcels, lost_answers TO stagepost_service;
GRANT SELECT ON charges, parcels, lost_answers TO stagepost_auditor;
