/*-------------------------------------------------------------------------
 * review.c
 *	  Rejections under review.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "review.h"

void
review_moves(const Move *moves, int n)
{
}
