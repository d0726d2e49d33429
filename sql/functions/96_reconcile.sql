-- Repair of what is kept.
CREATE OR REPLACE FUNCTION leadflow._rebuild() RETURNS void
	AS 'MODULE_PATHNAME', 'leadflow_rebuild'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow._rebuild() IS
'Makes scores, watch bits, hand-offs'' touches, clocks and credits anew; reconcile() calls it.';

CREATE OR REPLACE FUNCTION leadflow.reconcile()
	RETURNS TABLE (check_name text, object_id text, kept text, recomputed text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	found jsonb;
BEGIN
	SELECT jsonb_agg(to_jsonb(v)) INTO found FROM leadflow.verify() v;
	PERFORM leadflow._rebuild();
	RETURN QUERY
		SELECT b.check_name, b.object_id, b.kept, b.recomputed
		FROM jsonb_to_recordset(coalesce(found, '[]')) AS b (check_name text, object_id text, kept text, recomputed text)
		EXCEPT
		SELECT a.check_name, a.object_id, a.kept, a.recomputed FROM leadflow.verify() a
		ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION leadflow.reconcile() IS
'Repairs what verify() finds, after a time without triggers (session_replication_role = replica, a restore with --disable-triggers, DROP EXTENSION … CASCADE), and returns the rows of verify() that it repaired; what is still wrong verify() goes on showing. Silent: nobody is promoted, routed or told. Writers of activities wait until the transaction ends. O(leads + activities).';
