"""The examples run as they stand, and the demo can fail."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.demo import compare
from examples.replay import share_of
from tests.commandline import environment
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT

TRACES = ROOT / "examples" / "agent_traces.jsonl"


def test_the_quickstart_runs_as_the_readme_shows_it(daemon: Daemon) -> None:
    program = ROOT / "examples" / "quickstart.py"
    for _ in range(2):  # its keys make it repeatable
        done = subprocess.run(
            [sys.executable, program],
            cwd=daemon.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=True,
        )
        lines = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()]
        assert lines == ["tool:call {'command': 'ls'}", "tool:result {'files': 2}"]
    code = program.read_text().partition("\n\n")[2]
    assert f"```python\n{code}```" in (ROOT / "README.md").read_text()


def test_every_session_is_in_exactly_one_share() -> None:
    shares = [share_of(TRACES, shard, 3) for shard in range(3)]
    ids = [line["id"] for share in shares for line in share]
    assert len(ids) == 607
    assert len(set(ids)) == 607
    sessions = [{line["session"] for line in share} for share in shares]
    assert sum(map(len, sessions)) == len(set.union(*sessions)) == 17


def test_the_demo_loses_nothing(tmp_path: Path) -> None:
    """Every process of the tree is killed twice while real traces go through it."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--dir", tmp_path / "demo"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = done.stdout.split()
    assert words[words.index("lost") + 1] == "0"
    assert words[words.index("duplicated") + 1] == "0"
    moved = [line.split()[0] for line in done.stdout.splitlines() if " (holdfast.db) " in line]
    assert moved == ["database", "database"]  # there and back
    verdict = compare(tmp_path / "demo" / "lib" / "holdfast.db", TRACES)
    assert verdict.is_clean
    assert verdict.committed == 607


def test_the_demo_empties_no_folder_of_yours(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--dir", tmp_path],
        stderr=subprocess.PIPE,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 1
    assert b"not empty" in done.stderr
    assert (tmp_path / "mine").exists()


def rows() -> list[dict[str, Any]]:
    with TRACES.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def database(path: Path, events: list[dict[str, Any]]) -> Path:
    """As much of the schema as the demo looks at."""
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, key, source, type, session, cause, data,"
        " payload);"
        "CREATE TABLE payloads (ref, codec, body);"
        "CREATE TABLE sessions (id)"
    )
    connection.executemany(
        "INSERT INTO events (key, source, type, session, cause, data)"
        " VALUES (:id, :source, :type, :session, :parent, :text)",
        [event | {"text": json.dumps(event["data"])} for event in events],
    )
    sessions = {(event["session"],) for event in events}
    connection.executemany("INSERT INTO sessions VALUES (?)", sessions)
    connection.commit()
    connection.close()
    return path


def damaged(how: str) -> list[dict[str, Any]]:
    events = rows()
    if how == "lost":
        del events[100]
    elif how == "duplicated":
        events.append(events[5])
    elif how == "changed":
        events[7]["data"] = {"step": 99}
    elif how == "out_of_order":
        events[1:3] = events[2:0:-1]
    elif how == "unopened":
        events = [event for event in events if event["session"] != events[0]["session"]]
    return events


def test_the_demo_approves_what_is_complete(tmp_path: Path) -> None:
    assert compare(database(tmp_path / "test.db", rows()), TRACES).is_clean


@pytest.mark.parametrize("how", ["lost", "duplicated", "changed", "out_of_order", "unopened"])
def test_the_demo_notices_what_went_wrong(tmp_path: Path, how: str) -> None:
    verdict = compare(database(tmp_path / "test.db", damaged(how)), TRACES)
    assert not verdict.is_clean
    assert getattr(verdict, how)
