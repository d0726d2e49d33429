#!/usr/bin/env python3
"""Sends leadflow's notifications: an example to copy (psycopg 3; doc/notification.md).

    consumer.py --name web1 --channel inbox --out sent.log

Claims a batch, sends each, acknowledges what was sent. A connection is all it keeps: killed at
any time, or cut off from the server, it loses nothing; what it had claimed is handed out again
when the lease has run out. So the receiver may get a notification twice, with the same id.

Replace send(). Run as many as you like; of one lead there is one notification at work at a time.
"""
import argparse
import os
import select
import sys
import time

import psycopg
from psycopg.rows import namedtuple_row


def send(row, args):
    """Stands for an e-mail, a message, a call of somebody's API. Raises if it can't be delivered."""
    if args.work:
        time.sleep(args.work)
    if args.fail and row.id % args.fail == 0 and row.attempts == 1:
        raise RuntimeError("not the first time")
    with open(args.out, "a") as out:
        out.write(f"{row.id} {row.lead_id} {row.event}\n")


def drain(conn, args):
    """Sends what is due; how many that were."""
    rows = conn.execute(
        "SELECT * FROM leadflow.claim_notifications(%s, %s, make_interval(secs => %s), %s)",
        [args.batch, args.name, args.lease, args.channel]).fetchall()
    sent = []
    for row in rows:
        try:
            send(row, args)
            sent.append(row.id)
        except Exception as error:          # this one waits, and so does its lead; the others don't
            conn.execute("SELECT leadflow.fail_notification(%s, %s)", [row.id, str(error)])
    if sent:
        conn.execute("SELECT leadflow.ack_notifications(%s)", [sent])
    return len(rows)


def wait(conn, seconds):
    """Until something is written (leadflow.notify = on), the sweep has run, or for so long."""
    select.select([conn.fileno()], [], [], seconds)
    conn.pgconn.consume_input()
    while conn.pgconn.notifies():
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", default="", help="as libpq takes it; else the environment")
    parser.add_argument("--name", default=f"{os.uname().nodename}:{os.getpid()}")
    parser.add_argument("--channel", help="default: all")
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--lease", type=float, default=60, help="seconds: longer than a batch takes")
    parser.add_argument("--out", default="/dev/stdout")
    parser.add_argument("--idle", type=float, help="ends when nothing was due for so many seconds")
    parser.add_argument("--work", type=float, help="seconds that sending takes (tests)")
    parser.add_argument("--fail", type=int, help="every so many fail the first time (tests)")
    args = parser.parse_args()

    busy = time.monotonic()
    while True:
        try:
            with psycopg.connect(args.dsn, autocommit=True, row_factory=namedtuple_row) as conn:
                conn.execute("LISTEN leadflow")
                while True:
                    if drain(conn, args):
                        busy = time.monotonic()
                    elif args.idle and time.monotonic() - busy > args.idle:
                        return
                    else:
                        wait(conn, min(args.idle or 60, 60) / 4)
        except psycopg.OperationalError as error:   # the server restarts: so do we
            print(f"{args.name}: {error}", file=sys.stderr)
            time.sleep(0.5)


if __name__ == "__main__":
    main()
