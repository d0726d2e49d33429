/*-------------------------------------------------------------------------
 * promise_store.h
 *	  Promises as people write them: versions of one name, and who agreed.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_PROMISE_STORE_H
#define LEADFLOW_PROMISE_STORE_H

#include "postgres.h"

/*
 * Refuses a version that contradicts another of its name: valid at the same
 * time (23P01), or of another metric (23514).
 */
extern void promise_check_versions(int64 id, Datum name, Datum metric, Datum valid);

/* Nobody agreed to it any more. */
extern void promise_withdraw(int64 id);

#endif							/* LEADFLOW_PROMISE_STORE_H */
