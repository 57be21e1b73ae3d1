-- The views of stock and of reservations: folds of this service's events, so they can be emptied
-- and rebuilt. `stream` is the aggregate's UUID, `sku` and `id` are what people know it by.

-- Where the units of each SKU are: none is lost, none appears.
CREATE TABLE stock (
  stream uuid PRIMARY KEY,
  sku text COLLATE "C" NOT NULL UNIQUE,
  received bigint NOT NULL,
  on_hand bigint NOT NULL CHECK (on_hand >= 0),
  reserved bigint NOT NULL CHECK (reserved >= 0),
  gone bigint NOT NULL CHECK (gone >= 0),
  CHECK (received = on_hand + reserved + gone)
);

-- What is, or was, held for each (caller, reference): `lines` is [{"sku", "quantity"}].
CREATE TABLE reservations (
  stream uuid PRIMARY KEY,
  id text NOT NULL UNIQUE,
  order_id text NOT NULL,
  caller text NOT NULL,
  reference text NOT NULL,
  status text NOT NULL
    CHECK (status IN ('reserved', 'rejected', 'fetched', 'released', 'barred')),
  reason text,
  lines jsonb NOT NULL,
  reserved_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL
);
CREATE INDEX reservations_order_idx ON reservations (order_id);

GRANT SELECT, INSERT, UPDATE ON stock, reservations TO stagepost_service;
GRANT SELECT ON stock, reservations TO stagepost_auditor;
