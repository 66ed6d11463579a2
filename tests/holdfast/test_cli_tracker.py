"""``holdfast tracker`` with a real daemon."""

from __future__ import annotations

import json

import holdfast
from tests.daemon import Daemon
from tests.holdfast.conftest import Run


def test_requests_are_listed_and_shown(daemon: Daemon, run: Run) -> None:
    assert run("tracker", "list", "--json").stdout == ""
    tracker = daemon.hub.tracker
    tracker.begin("r 1", "llm", {"prompt": "hi"}, owner="planner", deadline=60)
    tracker.begin("r 2", "tool")
    tracker.fail("r 2", "no such tool")
    listed = [json.loads(line) for line in run("tracker", "list", "--json").stdout.splitlines()]
    assert [(one["id"], one["status"]) for one in listed] == [("r 1", "running"), ("r 2", "failed")]
    assert listed[0]["payload"] == {"prompt": "hi"}
    running = run("tracker", "list", "--status", "running", "--status", "retrying").stdout
    assert "r 1" in running
    assert "r 2" not in running
    assert "no such tool" in run("tracker", "list", "--kind", "tool").stdout
    assert run("tracker", "list", "--owner", "nobody").stdout == ""
    assert json.loads(run("tracker", "show", "r 1", "--json").stdout) == listed[0]
    text = run("tracker", "show", "r 1").stdout
    assert "owner       planner\n" in text
    assert 'payload     {"prompt":"hi"}\n' in text
    missing = run("tracker", "show", "r 3")
    assert (missing.returncode, "no request 'r 3'" in missing.stderr) == (1, True)


def test_rate_limits_are_listed_with_what_they_would_let_pass(daemon: Daemon, run: Run) -> None:
    daemon.hub.tracker.acquire("llm", 2, limit=holdfast.TokenBucket(rate=0.001, burst=5))
    (listed,) = map(json.loads, run("tracker", "limits", "--json").stdout.splitlines())
    assert listed == {
        "key": "llm",
        "limit": {"kind": "token_bucket", "rate": 0.001, "burst": 5},
        "configured": False,
        "available": 3,
        "waiting": 0,
        "granted": 1,
        "refused": 0,
    }
    text = run("tracker", "limits").stdout
    assert text.startswith("llm ")
    assert "available 3" in text
