"""Entities against journals: every version is one that somebody sent, and no update is lost.

A client's change of an entity writes ``{"by": its life, "n": its number}``, and the type keeps its
history: so each version tells whose it is.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final

from holdfast.testing.oracle.lives import Life, Message
from holdfast.testing.oracle.verdict import Verdict

__all__ = ["check_entities"]

_VERSIONS: Final = """
SELECT id, version, properties FROM entity_history WHERE type = ?
UNION ALL SELECT id, version, properties FROM entities WHERE type = ?
ORDER BY id, version
"""
_Stored = dict[tuple[str, int], tuple[str, int]]  # (id, version) -> (life, n)


def check_entities(viewer: sqlite3.Connection, lives: list[Life], verdict: Verdict) -> None:
    """Of all types that a client's changes name."""
    types = {str(m.what["type"]) for life in lives for m in life.of("change")}
    stored: _Stored = {}
    for type in sorted(types):
        _read(viewer.execute(_VERSIONS, (type, type)), stored, verdict)
    known = {life.life: life for life in lives}
    _check_senders(stored, known, verdict)
    for life in lives:
        for message in life.of("change"):
            _check_answer(message, life, stored, verdict)
        if life.level == "committed":
            _check_reads(life, stored, verdict)
    verdict.counts["change", "stored"] += len(stored)


def _read(rows: sqlite3.Cursor, stored: _Stored, verdict: Verdict) -> None:
    last_id, last = "", 0
    for id, version, text in rows:
        expected = last + 1 if id == last_id else 1
        if version != expected:
            verdict.add("versions", f"entity {id}: version {version} where {expected} should be")
        last_id, last = id, version
        properties = json.loads(text)
        stored[id, version] = (properties.get("by", ""), properties.get("n", 0))


def _check_senders(stored: _Stored, known: dict[str, Life], verdict: Verdict) -> None:
    seen: set[tuple[str, int]] = set()
    newest: dict[tuple[str, str], int] = {}
    for (id, version), (by, n) in stored.items():
        where = f"version {version} of entity {id}: number {n} of {by!r}"
        message = known[by].messages.get(n) if by in known else None
        if message is None or message.kind != "change" or message.what["id"] != id:
            verdict.add("sent", f"{where} was never sent")
        elif message.told in ("refused", "conflict"):
            verdict.add("sent", f"{where} was told {message.told}")
        elif (expected := message.what.get("expected")) is not None and version != expected + 1:
            verdict.add("updates", f"{where} expected version {expected}")
        if (by, n) in seen:
            verdict.add("twice", where)
        elif n < newest.get((id, by), 0):
            verdict.add("order", f"{where} stands behind number {newest[id, by]}")
        seen.add((by, n))
        newest[id, by] = max(n, newest.get((id, by), 0))


def _check_answer(message: Message, life: Life, stored: _Stored, verdict: Verdict) -> None:
    if not life.is_owed(message):
        return
    id, version = message.what["id"], message.answer["version"]
    if stored.get((id, version)) != (life.life, message.n):
        verdict.add(
            "acknowledged",
            f"{life.life} was told that its number {message.n} is version {version} of entity "
            f"{id}, where {stored.get((id, version), 'nothing')} is stored",
        )


def _check_reads(life: Life, stored: _Stored, verdict: Verdict) -> None:
    """What was read is stored under its version, and not older than what the reader was told."""
    for read in life.reads:
        if read.kind != "change":
            continue
        id, version, was = read.what["id"], read.what["version"], _who(read.what)
        if stored.get((id, version)) != was:
            verdict.add("reads", f"{life.life} read {was} as version {version} of entity {id}")
        told = [
            message.answer["version"]
            for message in life.of("change")
            if message.is_acknowledged and message.n <= read.known and message.what["id"] == id
        ]
        if told and version < max(told):
            verdict.add(
                "reads",
                f"{life.life} read version {version} of entity {id} after it was told {max(told)}",
            )


def _who(what: dict[str, Any]) -> tuple[str, int]:
    return what["by"], what["n"]
