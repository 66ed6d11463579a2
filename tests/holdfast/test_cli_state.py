"""``holdfast state`` with a real daemon."""

from __future__ import annotations

import json
from typing import Any

from holdfast.cli.state import _condition
from tests.daemon import Daemon
from tests.holdfast.conftest import Run


def printed(run: Run, *arguments: str) -> list[dict[str, Any]]:
    done = run("state", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_state_is_read_and_changed_from_the_command_line(daemon: Daemon, run: Run) -> None:
    state = daemon.hub.state
    for number in range(3):
        status = "busy" if number else "idle"
        state.create("agent", {"n": number, "status": status}, id=f"a{number}")
    state.relate("a0", "knows", "a1", {"since": 1e20})
    state.push("a0", "in", {"m": 1})

    assert [one["id"] for one in printed(run, "query", "--where", "n>=1")] == ["a1", "a2"]
    assert printed(run, "query", "--group-by", "status") == [
        {"value": "busy", "count": 2},
        {"value": "idle", "count": 1},
    ]
    (found,) = printed(run, "get", "a0", "--relationships")
    assert (found["version"], found["properties"]) == (1, {"n": 0, "status": "idle"})
    assert found["outgoing"][0]["to_id"] == "a1"
    (walked,) = printed(run, "traverse", "a0", "--depth", "3")
    assert walked["nodes"] == {"a0": 0, "a1": 1}
    assert printed(run, "queue") == [{"namespace": "a0", "key": "in", "size": 1}]
    assert printed(run, "queue", "a0", "in")[0]["value"] == {"m": 1}

    (put,) = printed(run, "put", "a0", '{"big": 1e20}', "--unset", "n", "--expected-version", "1")
    assert (put["version"], put["properties"]) == (2, {"status": "idle", "big": 1e20})
    assert printed(run, "history", "a0")[0]["version"] == 2
    lost = run("state", "put", "a0", "{}", "--expected-version", "1")
    assert (lost.returncode, "expected version 1" in lost.stderr) == (1, True)
    assert run("state", "put", "nobody", "{}").returncode == 1
    assert run("state", "get", "nobody").returncode == 1
    assert run("state", "query", "--where", "what").returncode == 2
    assert printed(run, "delete", "a0") == [{"id": "a0", "deleted": True}]
    assert state.get("a0") is None
    assert "a1 agent version 1" in run("state", "get", "a1").stdout


def test_conditions_read_as_they_are_written() -> None:
    assert _condition("status=busy") == ("status", "=", "busy")
    assert _condition("n <= 3") == ("n", "<=", 3)
    assert _condition('s!="3"') == ("s", "!=", "3")
    assert _condition("s in [1, 2]") == ("s", "in", [1, 2])
    assert _condition("s like a%=b") == ("s", "like", "a%=b")
    assert _condition("s exists") == ("s", "exists", True)
    assert _condition("s exists false") == ("s", "exists", False)
