"""The model of relational state against a real daemon, whose writer and query are killed (D8)."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

from holdfast.errors import Conflict, HoldfastError, InvalidInputError, NotFoundError
from tests.daemon import TIMEOUT, Daemon
from tests.state_model import Model

IDS = ["a", "b", "c/../d", "e'\"e", "é"]
NAMES = ["n", "s", "l"]
STEPS = 120
KILLED = {30: "writer", 60: "query", 90: "writer"}


def drawn(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """A change and its arguments."""
    id, other, name = chance.choice(IDS), chance.choice(IDS), chance.choice(NAMES)
    value = chance.choice([1, 2.5, "x", None, True, [1], 10**30, b"z"])
    expected = chance.choice([None, None, None, 1, 2])
    calls: list[tuple[str, dict[str, Any]]] = [
        (
            "create",
            {
                "type": "t",
                "properties": {name: value},
                "id": id,
                "on_conflict": chance.choice(["refuse", "merge", "replace", "keep"]),
                "expected_version": None,
            },
        ),
        (
            "update",
            {
                "id": id,
                "properties": {name: value},
                "unset": [],
                "increment": {"count": 1},
                "append": {"list": value},
                "expected_version": expected,
            },
        ),
        ("delete", {"id": id, "expected_version": expected}),
        (
            "relate",
            {
                "from_id": id,
                "relation_type": "to",
                "to_id": other,
                "metadata": {name: value},
                "on_conflict": "merge",
            },
        ),
        ("unrelate", {"from_id": id, "relation_type": "to", "to_id": other}),
        ("push", {"namespace": id, "key": "q", "value": value, "ttl": None}),
        ("pop", {"namespace": id, "key": "q", "count": 2}),
    ]
    return chance.choices(calls, weights=[4, 4, 1, 3, 1, 3, 2])[0]


def outcome_of(call: Any, arguments: dict[str, Any]) -> Any:
    try:
        return call(**arguments)
    except (Conflict, InvalidInputError, NotFoundError) as error:
        return error


def test_the_daemon_holds_what_the_model_holds_whoever_is_killed(tmp_path: Path) -> None:
    chance, model = random.Random(5), Model()
    with Daemon(tmp_path) as daemon:
        state = daemon.hub.state
        for step in range(STEPS):
            if step in KILLED:
                daemon.kill(KILLED[step])
            name, arguments = drawn(chance)
            theirs = outcome_of(getattr(model, name), arguments)
            mine = outcome_of(getattr(state, name), {**arguments, "timeout": TIMEOUT})
            assert isinstance(mine, HoldfastError) == isinstance(theirs, HoldfastError), mine
            if name == "pop":
                assert mine == theirs
        found = {one.id: one for one in state.query(limit=None)}
        assert list(found) == list(model.entities)  # in the order of their creation
        for id, one in model.entities.items():
            assert repr(found[id].properties) == repr(one["properties"])
            assert found[id].version == model.versions[id]
        related = {(r.from_id, r.relation_type, r.to_id) for r in state.relationships(limit=1000)}
        assert related == set(model.relationships)
        for id in IDS:
            assert [item.value for item in state.peek(id, "q")] == model.peek(id, "q")
        daemon.stop()
        connection = sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        connection.close()
