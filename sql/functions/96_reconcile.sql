-- Repair of what is kept.
CREATE OR REPLACE FUNCTION leadflow._rebuild(from_lead bigint, to_lead bigint, leads bigint[], deals bigint[]) RETURNS void
	AS 'MODULE_PATHNAME', 'leadflow_rebuild'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow._rebuild(bigint, bigint, bigint[], bigint[]) IS
'Makes anew what is kept of these leads and the credits of these deals, and the scores of all leads of the range; without bounds the clocks and credits of all leads, too. reconcile() calls it with what verify() found.';

CREATE OR REPLACE FUNCTION leadflow.reconcile(from_lead bigint DEFAULT NULL, to_lead bigint DEFAULT NULL)
	RETURNS TABLE (check_name text, object_id text, kept text, recomputed text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	-- Sorted, so all of it is read at the first FETCH, and kept on disk where there is much.
	damage SCROLL CURSOR FOR
		SELECT v.*, ROW(v.check_name, v.object_id, v.kept, v.recomputed)::text COLLATE "C" AS line
		FROM leadflow._verify(from_lead, to_lead) v ORDER BY line;
	remains CURSOR FOR
		SELECT ROW(v.check_name, v.object_id, v.kept, v.recomputed)::text COLLATE "C" AS line
		FROM leadflow.verify(from_lead, to_lead) v ORDER BY line;
	lead bigint;
	leads bigint[] := '{}';
	deal bigint;
	deals bigint[] := '{}';
	line text;
	remaining text;
BEGIN
	PERFORM leadflow.settle();
	OPEN damage;
	LOOP
		FETCH damage INTO check_name, object_id, kept, recomputed, lead, deal, line;
		EXIT WHEN NOT FOUND;
		leads := leads || lead;
		deals := deals || deal;
	END LOOP;
	PERFORM leadflow._rebuild(from_lead, to_lead, leads, deals);

	IF leads <> '{}' THEN
		MOVE ABSOLUTE 0 FROM damage;
		OPEN remains;
		FETCH remains INTO remaining;
		LOOP
			FETCH damage INTO check_name, object_id, kept, recomputed, lead, deal, line;
			EXIT WHEN NOT FOUND;
			WHILE remaining COLLATE "C" < line COLLATE "C" LOOP
				FETCH remains INTO remaining;
			END LOOP;
			IF remaining IS DISTINCT FROM line THEN
				RETURN NEXT;
			END IF;
		END LOOP;
		CLOSE remains;
	END IF;
	CLOSE damage;
END
$$;
COMMENT ON FUNCTION leadflow.reconcile(bigint, bigint) IS
'Repairs what verify() finds, after a time without triggers (session_replication_role = replica, a restore with --disable-triggers, DROP EXTENSION … CASCADE), and returns the rows of verify() that it repaired; what is still wrong verify() goes on showing. Silent: nobody is promoted, routed or told. Without bounds everybody who writes activities waits until the transaction ends. With bounds (from_lead <= id <= to_lead, NULL = no bound) only who writes to a damaged lead does. O(leads + activities) of the range.';
