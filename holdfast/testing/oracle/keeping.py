"""Sessions and checkpoints against journals: what a client wrote last, and all that it kept."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from holdfast.testing.oracle.lives import Life
from holdfast.testing.oracle.verdict import Verdict

__all__ = ["check_checkpoints", "check_sessions"]


def check_sessions(viewer: sqlite3.Connection, lives: list[Life], verdict: Verdict) -> None:
    """A client has its sessions to itself; the data of one is the number of its put.

    Puts at ``memory`` are written behind: what is stored may be older than they are, and newer
    than the last that was acknowledged at ``committed``.
    """
    for life in lives:
        puts = life.of("session")
        for id in dict.fromkeys(str(put.what["id"]) for put in puts):
            sql = "SELECT data FROM sessions WHERE id = ?"
            row = viewer.execute(sql, (id,)).fetchone()
            stored = json.loads(row[0]) if row else 0
            sent = {put.n: put for put in puts if put.what["id"] == id}
            acknowledged = max((n for n, put in sent.items() if life.is_owed(put)), default=0)
            _check_value(life, id, stored, sent, verdict, is_there=row is not None)
            if stored < acknowledged:
                verdict.add(
                    "acknowledged",
                    f"put {acknowledged} of session {id} of {life.life} was acknowledged, "
                    f"{stored or 'nothing'} is stored",
                )
            verdict.counts["session", "stored"] += row is not None
        if life.level == "committed":
            _check_session_reads(life, verdict)


def _check_value(
    life: Life, id: str, n: Any, sent: dict[int, Any], verdict: Verdict, *, is_there: bool
) -> None:
    if is_there and n not in sent:
        verdict.add("sent", f"session {id} holds {n!r}, which {life.life} never put")
    elif is_there and sent[n].told == "refused":
        verdict.add("sent", f"session {id} holds put {n} of {life.life}, which was refused")


def _check_session_reads(life: Life, verdict: Verdict) -> None:
    """Not older than what was forced before; puts at memory may be lost with their actor."""
    for read in life.reads:
        if read.kind != "session":
            continue
        id, n = read.what["id"], read.what["n"]
        sent = {put.n: put for put in life.of("session") if put.what["id"] == id}
        known = (m for m, put in sent.items() if put.is_acknowledged and m <= read.known)
        if n is not None and n not in sent:
            verdict.add("reads", f"{life.life} read {n!r} in session {id}, which was never put")
        elif (n or 0) < (newest := max(known, default=0)):
            verdict.add("reads", f"{life.life} read {n!r} in session {id} after put {newest}")


def check_checkpoints(viewer: sqlite3.Connection, lives: list[Life], verdict: Verdict) -> None:
    """A client's life is a thread of checkpoints, each with the number of its put as ``n``."""
    for life in lives:
        puts = {put.n: put for put in life.of("checkpoint")}
        if not puts:
            continue
        sql = "SELECT id, state FROM checkpoints WHERE agent = ? ORDER BY id"
        rows = viewer.execute(sql, (life.life,)).fetchall()
        stored = {id: json.loads(state)["n"] for id, state in rows}
        if list(stored) != list(range(1, len(stored) + 1)):
            verdict.add("versions", f"checkpoints of {life.life}: {sorted(stored)}")
        last = 0
        for id, n in stored.items():
            if n not in puts or puts[n].told == "refused":
                verdict.add("sent", f"checkpoint {id} of {life.life} is put {n}, never sent")
            if n <= last:
                rule = "twice" if n in list(stored.values())[: id - 1] else "order"
                verdict.add(rule, f"checkpoint {id} of {life.life} is put {n}, behind {last}")  # type: ignore[arg-type] # two of the rules
            last = max(last, n)
        for n, put in puts.items():
            if life.is_owed(put) and stored.get(put.answer["id"]) != n:
                verdict.add(
                    "acknowledged",
                    f"{life.life} was told that put {n} is checkpoint {put.answer['id']}, where "
                    f"{stored.get(put.answer['id'], 'nothing')} is stored",
                )
        verdict.counts["checkpoint", "stored"] += len(stored)
