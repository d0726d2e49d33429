/*-------------------------------------------------------------------------
 * columns.c
 *	  Finding columns by name in the rows that triggers get.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/builtins.h"

#include "columns.h"

int
column_of(TupleDesc desc, const char *name, Oid type)
{
	int			number = SPI_fnumber(desc, name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" is missing", name),
				 errhint("leadflow needs the column by this name.")));
	if (SPI_gettypeid(desc, number) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" has type %s instead of %s", name,
						format_type_be(SPI_gettypeid(desc, number)), format_type_be(type))));
	return number;
}
