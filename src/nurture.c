/*-------------------------------------------------------------------------
 * nurture.c
 *	  Who is in which nurture program.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nurture.h"

void
nurture_moves(const Move *moves, int n)
{
}
