-- The one way to write: a batch of commits, each all or nothing, in one transaction and one round trip.
--
-- The advisory lock comes first: positions are drawn in the order in which transactions commit, so
-- that a reader who has seen position n has seen all before it. (The lock of the transaction, not a
-- table lock: it blocks nobody else. Each statement after it takes a fresh snapshot, as READ
-- COMMITTED gives a VOLATILE function.)
--
-- Arguments are parallel arrays; `*_c` is the number of the commit that a row belongs to, from 1.
-- An event without a topic is a check: its stream was read, and must stand at that version.
-- Outcomes: 0 kept, 1 conflict, 2 duplicate, 3 behind.
CREATE FUNCTION append(
  p_lease text, p_epoch bigint,
  c_id uuid[], c_type text[], c_kind text[], c_source text[], c_key text[],
  c_correlation uuid[], c_causation uuid[], c_incarnation int[], c_position bigint[],
  c_version int[], c_recipient text[], c_trace text[], c_body bytea[],
  c_outcome text[], c_detail text[], c_clears text[], c_call bigint[], c_parks boolean[],
  c_redrives bigint[], c_cursor int[],
  e_c int[], e_id uuid[], e_version bigint[], e_topic text[], e_state bytea[],
  o_c int[], o_id uuid[], o_channel text[], o_kind text[], o_type text[], o_version int[],
  o_key text[], o_recipient text[], o_body bytea[], o_lane text[], o_supersedes boolean[],
  t_c int[], t_id uuid[], t_type text[], t_version int[], t_key text[], t_body bytea[], t_delay float8[],
  i_c int[], i_key text[], i_fingerprint bytea[], i_response bytea[],
  k_reader text[], k_source text[], k_incarnation int[], k_partition int[],
  k_at bigint[], k_to bigint[], k_hint bigint[],
  r_position bigint[], r_delay float8[], r_delivered boolean[],
  OUT outcomes int[], OUT positions bigint[],
  OUT known_c int[], OUT known_key text[], OUT known_fingerprint bytea[], OUT known_response bytea[]
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  at timestamptz;
  life int;
  o_position bigint[];
  cleared text[] := array_remove(c_clears, NULL);
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('stagepost.append'));
  at := clock_timestamp();
  SELECT i.incarnation INTO life FROM incarnation i;

  IF p_epoch IS NOT NULL AND NOT EXISTS (
    SELECT FROM leases l WHERE l.name = p_lease AND l.epoch = p_epoch
  ) THEN
    RAISE EXCEPTION 'the lease % has passed on from epoch %', p_lease, p_epoch USING ERRCODE = 'SP001';
  END IF;

  -- A statement costs a batch about as much as two commits do: what is not there is not asked for.
  IF i_c <> '{}' THEN
    SELECT array_agg(i.n ORDER BY i.n), array_agg(s.key ORDER BY i.n),
           array_agg(s.fingerprint ORDER BY i.n), array_agg(s.response ORDER BY i.n)
      INTO known_c, known_key, known_fingerprint, known_response
      FROM unnest(i_c, i_key) i(n, key)
      JOIN idempotency s ON s.key = i.key AND s.recorded_at > at - interval '24 hours';
  END IF;

  outcomes := append_outcomes(c_id, c_key, c_call, c_redrives, e_c, e_id, e_version, e_topic, i_c, i_key, known_c,
                              o_c, o_lane, o_supersedes);

  -- The inbox: what was heard. A message that is handled after all keeps its place.
  INSERT INTO inbox (message_id, position, source, incarnation, source_position, kind, type, key,
                     outcome, detail, correlation_id, causation_id, recorded_at)
  SELECT c.id, nextval('log_position'), c.source, c.incarnation, c.position, c.kind, c.type, c.key,
         c.outcome, c.detail, c.correlation, c.causation, at
    FROM (SELECT * FROM unnest(c_id, c_source, c_incarnation, c_position, c_kind, c_type, c_key,
                               c_outcome, c_detail, c_correlation, c_causation, c_redrives)
            WITH ORDINALITY c(id, source, incarnation, position, kind, type, key,
                              outcome, detail, correlation, causation, redrives, n)
           WHERE outcomes[c.n] = 0 AND c.redrives IS NULL ORDER BY c.n) c;

  INSERT INTO stored_events (originator_id, originator_version, topic, state,
                             recorded_at, correlation_id, causation_id)
  SELECT e.id, e.version, e.topic, e.state, at, c_correlation[e.c], c_id[e.c]
    FROM unnest(e_c, e_id, e_version, e_topic, e_state) WITH ORDINALITY e(c, id, version, topic, state, n)
   WHERE outcomes[e.c] = 0 AND e.topic IS NOT NULL ORDER BY e.n;

  -- A call that supersedes makes earlier ones of its lane void, stored or in this batch.
  IF true = ANY (o_supersedes) THEN
    DELETE FROM calls USING unnest(o_c, o_lane, o_supersedes) o(c, lane, supersedes)
     WHERE o.supersedes AND outcomes[o.c] = 0 AND calls.lane = o.lane;
  END IF;
  IF o_c <> '{}' THEN
    o_position := ARRAY(SELECT CASE WHEN outcomes[o.c] = 0 THEN nextval('log_position') END FROM unnest(o_c) o(c));
    INSERT INTO outbox (position, message_id, channel, kind, type, version, key, recipient, body,
                        correlation_id, causation_id, traceparent, incarnation, recorded_at)
    SELECT o.position, o.id, o.channel, o.kind, o.type, o.version, o.key, o.recipient, o.body,
           c_correlation[o.c], c_id[o.c], c_trace[o.c], life, at
      FROM unnest(o_position, o_c, o_id, o_channel, o_kind, o_type, o_version, o_key, o_recipient, o_body)
           o(position, c, id, channel, kind, type, version, key, recipient, body)
     WHERE o.position IS NOT NULL;
  END IF;
  IF array_remove(o_lane, NULL) <> '{}' THEN
    INSERT INTO calls (position, channel, lane, due_at)
    SELECT o.position, o.channel, o.lane, at FROM unnest(o_position, o_channel, o_lane) o(position, channel, lane)
     WHERE o.channel <> 'broker' AND o.position IS NOT NULL AND (true = ANY (o_supersedes) AND EXISTS (
       SELECT FROM unnest(o_position, o_lane, o_supersedes) later(position, lane, supersedes)
        WHERE later.supersedes AND later.lane = o.lane AND later.position > o.position)) IS NOT TRUE;
  END IF;

  IF array_remove(c_call, NULL) <> '{}' THEN
    -- Of a duplicate too: two commands may have the same answer, which is handled once.
    DELETE FROM calls USING unnest(c_call) WITH ORDINALITY c(call, n)
     WHERE position = c.call AND outcomes[c.n] IN (0, 2);
  END IF;
  IF r_position <> '{}' THEN
    UPDATE calls SET attempt = attempt + 1, due_at = at + make_interval(secs => r.delay),
                     lane = CASE WHEN r.delivered THEN 'delivered/' || r.position ELSE lane END
      FROM unnest(r_position, r_delay, r_delivered) r(position, delay, delivered)
     WHERE calls.position = r.position;
  END IF;

  IF 'timer' = ANY (c_kind) THEN
    DELETE FROM timers USING unnest(c_id, c_kind) WITH ORDINALITY c(id, kind, n)
     WHERE c.kind = 'timer' AND timer_id = c.id AND outcomes[c.n] = 0;
  END IF;
  IF cleared <> '{}' THEN
    DELETE FROM timers USING unnest(c_clears) WITH ORDINALITY c(key, n)
     WHERE timers.key = c.key AND outcomes[c.n] = 0;
  END IF;
  IF t_c <> '{}' THEN
    INSERT INTO timers (timer_id, type, version, key, body, correlation_id, causation_id, due_at)
    SELECT t.id, t.type, t.version, t.key, t.body, c_correlation[t.c], c_id[t.c],
           at + make_interval(secs => t.delay)
      FROM unnest(t_c, t_id, t_type, t_version, t_key, t_body, t_delay)
           t(c, id, type, version, key, body, delay)
     WHERE outcomes[t.c] = 0 AND (t.key = ANY (cleared) AND EXISTS (
       SELECT FROM unnest(c_clears) WITH ORDINALITY c(key, n)
        WHERE c.key = t.key AND c.n >= t.c AND outcomes[c.n] = 0)) IS NOT TRUE
    ON CONFLICT DO NOTHING;
  END IF;

  IF i_c <> '{}' THEN
    INSERT INTO idempotency (key, fingerprint, response, recorded_at)
    SELECT i.key, i.fingerprint, i.response, at
      FROM unnest(i_c, i_key, i_fingerprint, i_response) i(c, key, fingerprint, response)
     WHERE outcomes[i.c] = 0
    ON CONFLICT (key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, response = EXCLUDED.response,
                                    recorded_at = EXCLUDED.recorded_at;
  END IF;

  IF true = ANY (c_parks) OR array_remove(c_redrives, NULL) <> '{}' THEN
    PERFORM append_dead_letters(at, outcomes, c_id, c_type, c_kind, c_source, c_key, c_correlation,
      c_causation, c_incarnation, c_position, c_version, c_recipient, c_trace, c_body, c_outcome,
      c_detail, c_parks, c_redrives);
  END IF;

  positions := append_cursors(outcomes, c_cursor, c_position,
                              k_reader, k_source, k_incarnation, k_partition, k_at, k_to, k_hint);
END $$;

-- What becomes of each commit. Nearly always all is well: one look at the whole batch tells.
CREATE FUNCTION append_outcomes(
  c_id uuid[], c_key text[], c_call bigint[], c_redrives bigint[],
  e_c int[], e_id uuid[], e_version bigint[], e_topic text[], i_c int[], i_key text[], known_c int[],
  o_c int[], o_lane text[], o_supersedes boolean[]
) RETURNS int[] LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  result int[] := array_fill(0, ARRAY[cardinality(c_id)]);
  n int;
BEGIN
  -- Scalar subqueries: each probes an index, where EXISTS may be planned as a hash of the whole table.
  FOR n IN
    SELECT c.n FROM unnest(c_id, c_call, c_redrives) WITH ORDINALITY c(id, call, redrives, n)
     WHERE c.n = ANY (known_c)
        OR CASE WHEN c.redrives IS NULL THEN (SELECT true FROM inbox WHERE message_id = c.id)
                ELSE (SELECT true FROM dead_letters d
                       WHERE d.id = c.redrives AND d.state IN ('redrive', 'waiting')) IS NULL END
        OR (c.call IS NOT NULL AND (SELECT true FROM calls WHERE position = c.call) IS NULL)
  LOOP
    result[n] := 2;
  END LOOP;

  -- The stored version stands in line: as a function it was one more statement for each row.
  IF EXISTS (
    SELECT FROM (
      SELECT e.version, e.id, count(e.topic) OVER (PARTITION BY e.id ORDER BY e.n) AS kept
        FROM unnest(e_c, e_id, e_version, e_topic) WITH ORDINALITY e(c, id, version, topic, n)
       WHERE result[e.c] = 0) e
    WHERE e.version <> e.kept + coalesce((SELECT s.originator_version FROM stored_events s
       WHERE s.originator_id = e.id ORDER BY s.originator_version DESC LIMIT 1), 0)
  ) OR (SELECT count(*) <> count(DISTINCT c.id) FROM unnest(c_id) WITH ORDINALITY c(id, n) WHERE result[c.n] = 0)
    OR (SELECT count(*) <> count(DISTINCT i.key) FROM unnest(i_c, i_key) i(c, key) WHERE result[i.c] = 0)
    OR (SELECT count(c.call) <> count(DISTINCT c.call) FROM unnest(c_call) c(call))
    OR (true = ANY (o_supersedes) AND EXISTS (
      SELECT FROM unnest(o_lane, o_supersedes) o(lane, supersedes) JOIN calls USING (lane)
       WHERE o.supersedes AND calls.position = ANY (c_call)))
  THEN
    RETURN append_one_by_one(result, c_id, c_key, c_call, e_c, e_id, e_version, e_topic, i_c, i_key,
                             o_c, o_lane, o_supersedes);
  END IF;
  RETURN result;
END $$;

-- The version at which a stream stands, 0 where there is none: one probe, however long it is.
CREATE FUNCTION stored_version(stream uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT originator_version FROM stored_events WHERE originator_id = stream
                   ORDER BY originator_version DESC LIMIT 1), 0)
$$;

-- The same with something amiss: in order, each commit against what was kept before it.
CREATE FUNCTION append_one_by_one(
  result int[], c_id uuid[], c_key text[], c_call bigint[],
  e_c int[], e_id uuid[], e_version bigint[], e_topic text[], i_c int[], i_key text[],
  o_c int[], o_lane text[], o_supersedes boolean[]
) RETURNS int[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  failed_keys text[] := '{}';
  failed_streams uuid[] := '{}';
  seen_ids uuid[] := '{}';
  seen_keys text[] := '{}';
  answered bigint[] := '{}';
  voided text[] := '{}';
  heads jsonb := '{}';
  ahead jsonb;
  streams uuid[];
  request_key text;
  head bigint;
  event record;
BEGIN
  FOR nth IN 1 .. cardinality(c_id) LOOP
    IF result[nth] = 2 THEN
      answered := answered || c_call[nth];
      CONTINUE;
    END IF;
    streams := ARRAY(SELECT e.id FROM unnest(e_c, e_id) e(c, id) WHERE e.c = nth);
    SELECT i.key INTO request_key FROM unnest(i_c, i_key) i(c, key) WHERE i.c = nth;

    IF c_id[nth] = ANY (seen_ids) OR request_key = ANY (seen_keys) OR c_call[nth] = ANY (answered)
       OR EXISTS (SELECT FROM calls WHERE position = c_call[nth] AND lane = ANY (voided)) THEN
      result[nth] := 2;
      answered := answered || c_call[nth];
      CONTINUE;
    ELSIF c_key[nth] = ANY (failed_keys) OR streams && failed_streams THEN
      result[nth] := 3;
    ELSE
      ahead := heads;
      FOR event IN
        SELECT e.id, e.version, e.topic
          FROM unnest(e_c, e_id, e_version, e_topic) WITH ORDINALITY e(c, id, version, topic, n)
         WHERE e.c = nth ORDER BY e.n
      LOOP
        head := coalesce((ahead ->> event.id::text)::bigint, stored_version(event.id));
        IF event.version <> head + (event.topic IS NOT NULL)::int THEN
          result[nth] := 1;
          EXIT;
        END IF;
        ahead := jsonb_set(ahead, ARRAY[event.id::text], to_jsonb(event.version));
      END LOOP;
    END IF;

    IF result[nth] = 0 THEN
      heads := ahead;
      seen_ids := seen_ids || c_id[nth];
      seen_keys := seen_keys || request_key;
      answered := answered || c_call[nth];
      voided := voided || ARRAY(SELECT o.lane FROM unnest(o_c, o_lane, o_supersedes) o(c, lane, supersedes)
                                 WHERE o.c = nth AND o.supersedes);
    ELSE
      failed_keys := failed_keys || c_key[nth];
      failed_streams := failed_streams || streams;
    END IF;
  END LOOP;
  RETURN result;
END $$;

-- Dead letters: new ones (waiting, where one of their key is open already), and what became of redriven ones.
CREATE FUNCTION append_dead_letters(
  at timestamptz, outcomes int[], c_id uuid[], c_type text[], c_kind text[], c_source text[],
  c_key text[], c_correlation uuid[], c_causation uuid[], c_incarnation int[], c_position bigint[],
  c_version int[], c_recipient text[], c_trace text[], c_body bytea[], c_outcome text[],
  c_detail text[], c_parks boolean[], c_redrives bigint[]
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  UPDATE dead_letters SET state = CASE WHEN c.parks THEN 'parked' ELSE 'done' END,
         attempts = attempts + 1, reason = coalesce(c.detail, reason)
    FROM unnest(c_redrives, c_parks, c_detail) WITH ORDINALITY c(redrives, parks, detail, n)
   WHERE dead_letters.id = c.redrives AND outcomes[c.n] = 0;
  UPDATE inbox SET outcome = c.outcome, detail = c.detail
    FROM unnest(c_id, c_redrives, c_outcome, c_detail) WITH ORDINALITY c(id, redrives, outcome, detail, n)
   WHERE inbox.message_id = c.id AND c.redrives IS NOT NULL AND outcomes[c.n] = 0;

  INSERT INTO dead_letters (state, reason, parked_at, message_id, source, incarnation, source_position,
                            kind, type, version, key, recipient, body, correlation_id, causation_id, traceparent)
  SELECT CASE WHEN row_number() OVER (PARTITION BY c.key ORDER BY c.n) > 1 OR EXISTS (
                SELECT FROM dead_letters d WHERE d.key = c.key AND d.state NOT IN ('done', 'discarded'))
              THEN 'waiting' ELSE 'parked' END,
         coalesce(c.detail, 'no reason given'), at, c.id, c.source, c.incarnation, c.position, c.kind,
         c.type, c.version, c.key, c.recipient, c.body, c.correlation, c.causation, c.trace
    FROM unnest(c_id, c_source, c_incarnation, c_position, c_kind, c_type, c_version, c_key, c_recipient,
                c_body, c_correlation, c_causation, c_trace, c_detail, c_parks, c_redrives)
         WITH ORDINALITY c(id, source, incarnation, position, kind, type, version, key, recipient,
                           body, correlation, causation, trace, detail, parks, redrives, n)
   WHERE c.parks AND c.redrives IS NULL AND outcomes[c.n] = 0 ORDER BY c.n;
END $$;

-- Cursors are compared and set: each moves to its goal, or to just before the first commit that failed.
CREATE FUNCTION append_cursors(
  outcomes int[], c_cursor int[], c_position bigint[],
  k_reader text[], k_source text[], k_incarnation int[], k_partition int[],
  k_at bigint[], k_to bigint[], k_hint bigint[]
) RETURNS bigint[] LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  stop bigint;
  stood bigint;
  result bigint[] := '{}';
BEGIN
  FOR k IN 1 .. cardinality(k_reader) LOOP
    SELECT min(c.position) - 1 INTO stop
      FROM unnest(c_cursor, c_position) WITH ORDINALITY c(cursor, position, n)
     WHERE c.cursor = k AND outcomes[c.n] IN (1, 3);
    SELECT position INTO stood FROM cursors
     WHERE reader = k_reader[k] AND source = k_source[k]
       AND incarnation = k_incarnation[k] AND partition = k_partition[k];
    IF coalesce(stood, 0) = k_at[k] THEN
      stood := CASE WHEN stop IS NULL THEN k_to[k] ELSE greatest(stop, k_at[k]) END;
      INSERT INTO cursors VALUES (k_reader[k], k_source[k], k_incarnation[k], k_partition[k], stood,
                                  CASE WHEN stop IS NULL THEN k_hint[k] ELSE 0 END)
      ON CONFLICT (reader, source, incarnation, partition) DO UPDATE
        SET position = EXCLUDED.position,
            hint = CASE WHEN EXCLUDED.hint > 0 THEN EXCLUDED.hint ELSE cursors.hint END;
    END IF;
    result := result || coalesce(stood, 0);
  END LOOP;
  RETURN result;
END $$;

GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO stagepost_service;
