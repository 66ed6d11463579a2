"""The command line about events: causes, effects, counts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast import connect
from tests.daemon import Daemon
from tests.holdfast.conftest import Run
from tests.holdfast.test_cli_daemon import objects

LINES: list[dict[str, Any]] = [
    {"type": "plan", "id": "p1", "correlation": "talk", "data": {"text": "find it\x1b[2J"}},
    {"type": "call", "id": "p2", "parent": "p1", "subject": "ls"},
    {"type": "result", "id": "p3", "parent": "p2", "subject": "ls"},
    {"type": "call", "id": "p4", "parent": "p1"},
    {"type": "late", "id": "p5", "parent": "lost", "correlation": "talk"},
]


@pytest.fixture
def told(daemon: Daemon, run: Run) -> Run:
    lines = [line | {"source": "/a", "time_us": n * 60_000_000} for n, line in enumerate(LINES)]
    assert run("events", "import", "-", stdin="\n".join(map(json.dumps, lines))).returncode == 0
    return run


def test_chain_tree_and_stats(daemon: Daemon, told: Run) -> None:
    """In one daemon, since each costs seconds."""
    check_chain(told)
    check_tree(told)
    check_stats(told)
    check_conditions(daemon, told)
    check_cloudevents(daemon, told)


def check_chain(run: Run) -> None:
    found = objects(run("events", "chain", "p3", "--json").stdout)
    assert [event["key"] for event in found] == ["p1", "p2", "p3"]
    assert objects(run("events", "chain", str(found[2]["seq"]), "--json").stdout) == found
    text = run("events", "chain", "p5")
    assert "late" in text.stdout
    assert "'lost' is not there" in text.stderr
    missing = run("events", "chain", "nobody")
    assert missing.returncode == 1
    assert "'nobody'" in missing.stderr


def check_tree(run: Run) -> None:
    (tree,) = objects(run("events", "tree", "talk", "--json").stdout)
    assert (tree["name"], tree["count"], tree["complete"]) == ("talk", 5, True)
    plan, late = tree["roots"]
    assert (plan["key"], plan["orphan"], late["key"], late["orphan"]) == ("p1", False, "p5", True)
    assert [child["key"] for child in plan["children"]] == ["p2", "p4"]
    assert [child["key"] for child in plan["children"][0]["children"]] == ["p3"]
    assert plan["data"] == LINES[0]["data"]
    drawn = run("events", "tree", "talk").stdout
    assert "\x1b" not in drawn
    lines = drawn.splitlines()
    shown = [re.findall(r"\[(p\d)\]", line) for line in lines]
    assert shown == [["p1"], ["p2"], ["p3"], ["p4"], ["p5"]]
    assert "'lost' not above it" in lines[-1]
    cut = run("events", "tree", "p1", "--depth", "2")
    assert "(+1 below)" in cut.stdout
    assert "--depth" in cut.stderr
    assert run("events", "tree", "nobody").returncode == 1


def check_stats(run: Run) -> None:
    ours = ("--source", "/a", "--json")
    counts = objects(run("events", "stats", *ours).stdout)
    assert counts == [
        {"type": "call", "count": 2},
        {"type": "late", "count": 1},
        {"type": "plan", "count": 1},
        {"type": "result", "count": 1},
    ]
    by_time = objects(run("events", "stats", *ours, "--bucket", "2m", "--by", "source").stdout)
    assert [(each["start_us"], each["source"], each["count"]) for each in by_time] == [
        (0, "/a", 2),
        (120_000_000, "/a", 2),
        (240_000_000, "/a", 1),
    ]
    text = run("events", "stats", "--by", "subject", "--source", "/a").stdout
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["subject", "count", "each", "10", "s"]
    assert [row[:2] for row in rows[1:]] == [["-", "3"], ["ls", "2"]]
    # At 0, 3 and 4 minutes; at 1 and 2.
    marks = [line.rstrip()[text.index("each") :] for line in text.splitlines()[1:]]
    assert marks == ["█                 █     █", "      █     █"]
    assert run("events", "stats", "--bucket", "0").returncode == 2
    assert run("events", "stats", "--by", "data").returncode == 2


def check_conditions(daemon: Daemon, run: Run) -> None:
    def keys(*arguments: str) -> list[str]:
        done = run("events", "query", "--json", "--source", "/a", *arguments)
        return [event["key"] for event in objects(done.stdout)]

    assert keys("--subject", "ls") == ["p2", "p3"]
    assert keys("--correlation", "talk") == ["p1", "p2", "p3", "p4", "p5"]
    with connect(daemon.run_dir) as hub:
        (second,) = hub.events.query(types="result")
    assert keys("--after", second.cursor) == ["p4", "p5"]
    refused = run("events", "query", "--after", "99.1")
    assert refused.returncode == 2
    assert "another database" in refused.stderr
    assert run("events", "query", "--after", "x").returncode == 2


def check_cloudevents(daemon: Daemon, run: Run) -> None:
    """Out and in again, each once; those of others among them."""
    ours = ("--source", "/a")
    told = objects(run("events", "export", "--format", "cloudevents", *ours).stdout)
    assert [each["id"] for each in told] == ["p1", "p2", "p3", "p4", "p5"]
    assert told[0]["time"] == "1970-01-01T00:00:00.000000Z"
    run("events", "export", "--format", "cloudevents-batch", *ours, "-o", "batch.json")
    assert json.loads((daemon.folder / "batch.json").read_text()) == told
    again = run("events", "import", "batch.json", "--json")
    assert objects(again.stdout)[0] | {"rejected": []} == objects(again.stdout)[0]
    assert objects(again.stdout)[0]["duplicates"] == 5

    moved = [each | {"source": "/moved"} for each in told]
    lines = [json.dumps(each) for each in moved]
    foreign = {"specversion": "1.0", "id": "f1", "source": "/moved", "type": "t", "trace": "x"}
    own = {"type": "own", "source": "/own"}
    lines[2:2] = [json.dumps(foreign), '{"specversion": "0.3"}', json.dumps(own)]
    done = run("events", "import", "-", "--json", stdin="\n".join(lines))
    (counts,) = objects(done.stdout)
    assert (done.returncode, counts["committed"]) == (3, 7)
    (rejected,) = counts["rejected"]
    assert (rejected["line"], rejected["reason"][:11]) == (4, "specversion")
    assert counts["ignored"] == {"trace": 1}
    found = objects(run("events", "query", "--source", "/moved", "--json").stdout)
    before = objects(run("events", "query", *ours, "--json").stdout)
    kept = ("time_us", "type", "subject", "correlation", "cause", "root", "depth", "key", "data")
    assert [[each[name] for name in kept] for each in found if each["key"] != "f1"] == [
        [each[name] for name in kept] for each in before
    ]
    strict = run("events", "import", "-", "--format", "cloudevents", stdin='{"type": "own"}')
    assert strict.returncode == 3
    assert "line 1: specversion: nothing" in strict.stderr


def test_no_event_is_in_the_tree_of_a_name_that_has_none(tmp_path: Path, run: Run) -> None:
    assert run("events", "tree", "x").returncode == 4
