"""Events against journals: nothing lost, invented, doubled or out of order; the ledger adds up."""

from __future__ import annotations

import sqlite3
from collections import defaultdict

from holdfast.testing.oracle.lives import Life
from holdfast.testing.oracle.verdict import Verdict

__all__ = ["check_events"]


def check_events(viewer: sqlite3.Connection, lives: list[Life], verdict: Verdict) -> None:
    """The data of an event of a client is its number, its source the client's life."""
    stored: dict[str, list[int]] = defaultdict(list)
    for type in sorted({life.header["type"] for life in lives if "type" in life.header}):
        sql = "SELECT source, data FROM events WHERE type = ? ORDER BY seq"
        for source, data in viewer.execute(sql, (type,)):
            stored[source].append(int(data))
    for life in lives:
        if "type" in life.header:
            mine = stored.pop(life.life, [])
            _check_stored(life, mine, verdict)
            _check_life(viewer, life, set(mine), verdict)
    for source, numbers in stored.items():
        verdict.add("sent", f"{len(numbers)} events of {source}, of whom there is no journal")


def _check_stored(life: Life, stored: list[int], verdict: Verdict) -> None:
    last, seen = 0, set()
    for n in stored:
        message = life.messages.get(n)
        if message is None or message.kind != "event":
            verdict.add("sent", f"event {n} of {life.life} is stored and was never sent")
        elif message.told == "refused":
            verdict.add("sent", f"event {n} of {life.life} is stored and was refused")
        if n in seen:
            verdict.add("twice", f"event {n} of {life.life}")
        elif n < last:
            verdict.add("order", f"event {n} of {life.life} is stored behind {last}")
        seen.add(n)
        last = max(last, n)


def _check_life(viewer: sqlite3.Connection, life: Life, stored: set[int], verdict: Verdict) -> None:
    emitted = [message for message in life.of("event") if message.told != "refused"]
    missing = [m.n for m in emitted if life.is_owed(m) and m.n not in stored]
    dropped = _dropped(viewer, life)
    if len(missing) > dropped:
        verdict.add(
            "acknowledged",
            f"events of {life.life} that were acknowledged and are not stored, {dropped} of them "
            f"in dropped: {_shortened(missing)}",
        )
    if life.level == "disk" and stored:
        newest = max(stored)
        holes = [m.n for m in emitted if m.n < newest and m.n not in stored]
        if len(holes) > dropped:
            verdict.add("middle", f"events of {life.life}: {_shortened(holes)}")
    ended = life.ended
    is_whole = life.level == "committed"
    queued = 0 if ended else len(emitted) - len(stored) - dropped
    repeated = ended["duplicates"] if ended else 0
    if queued < 0 or (ended and is_whole and len(emitted) != len(stored) + dropped + repeated):
        verdict.add(
            "ledger",
            f"{life.life} emitted {len(emitted)} events: {len(stored)} are stored, {dropped} "
            f"dropped, {repeated} repeated, {'none' if ended else 'at least 0'} queued",
        )
    if ended and is_whole and ended["dropped"] != dropped:
        told = ended["dropped"]
        verdict.add(
            "ledger", f"{life.life} was told of {told} dropped events, of {dropped} dropped"
        )
    verdict.counts["event", "stored"] += len(stored)
    verdict.counts["event", "dropped"] += dropped
    verdict.counts["event", "queued"] += max(0, queued)


def _dropped(viewer: sqlite3.Connection, life: Life) -> int:
    sql = "SELECT coalesce(sum(count), 0) FROM dropped WHERE sender = ? AND stream = 'log'"
    (count,) = viewer.execute(sql, (life.header.get("sender"),)).fetchone()
    return int(count)


def _shortened(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return shown if len(numbers) <= 10 else f"{shown}, ... ({len(numbers)})"
