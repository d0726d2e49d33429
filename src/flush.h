/*-------------------------------------------------------------------------
 * flush.h
 *	  What follows from a transaction's activities, at its end.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_FLUSH_H
#define LEADFLOW_FLUSH_H

#include "postgres.h"
#include "lib/stringinfo.h"

/* Completes all that follows from what the transaction wrote, which is about to end. */
extern void flush_finally(void);

/* The same for a transaction that goes on. */
extern void flush_settle(void);

/* Names a lead that does not exist, many are not named all; refuses activities of those named. */
extern void flush_add_unknown(StringInfo leads, int64 lead_id);
extern void flush_refuse_unknown(const char *leads);

#endif							/* LEADFLOW_FLUSH_H */
