# Makes leadflow._source() of the files of sql/tables and sql/views, in the order given.

function close_file() { if (tag != "") printf "%s)", tag }

BEGIN {
	print "CREATE OR REPLACE FUNCTION leadflow._source()"
	print "RETURNS TABLE (\"position\" integer, part text, name text, ddl text)"
	print "LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp"
	print "AS $leadflow_source$ VALUES"
}

FNR == 1 {
	close_file()
	n = split(FILENAME, path, "/")
	name = substr(path[n], 1, length(path[n]) - 4)
	part = path[n - 1] == "views" ? "view" : "table"
	if (name ~ /_triggers$/) part = "trigger"
	if (name ~ /_starter$/) part = "starter"
	tag = "$" part "_" name "$"
	printf "%s(%d, '%s', '%s', %s\n", position++ ? ",\n" : "", position, part, name, tag
}

{ print }

END {
	close_file()
	print "\n$leadflow_source$;"
	print "COMMENT ON FUNCTION leadflow._source() IS"
	print "\t'The definitions of tables, starter rows, triggers and views, for install().';"
}
