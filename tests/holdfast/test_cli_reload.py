"""``holdfast reload``: what it prints, and what it exits with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.daemon import CONFIG, Daemon
from tests.holdfast.conftest import Run

CHANGED: Final = (
    CONFIG.replace("1000", "500")
    + """
[supervisors.team]
[actors.sessions]
ttl = 60.0
"""
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("reload"), CONFIG) as daemon:
        yield daemon


def test_the_plan_is_shown_and_then_carried_out(daemon: Daemon, run: Run) -> None:
    where = ("--run-dir", str(daemon.run_dir))
    daemon.config_file.write_text(CHANGED)
    done = run("reload", "--dry-run", *where)
    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["actor", "sessions", "in", "place", "ttl", "7200.0", "60.0"] in rows
    assert ["supervisor", "team", "add"] in rows
    assert ["supervisor", "root", "in", "place", "max_restarts", "1000", "500"] in rows
    assert rows[-1] == ["would", "be:", "8", "unchanged,", "4", "in", "place,", "1", "add"]
    done = run("reload", "--json", *where)
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["applied"], shown["dry_run"]) == (0, True, False)
    assert shown["counts"] == {
        "unchanged": 8,
        "in place": 4,
        "restart": 0,
        "swap": 0,
        "add": 1,
        "remove": 0,
    }
    (line,) = (line for line in shown["plan"] if line["name"] == "sessions")
    assert line == {
        "kind": "actor",
        "name": "sessions",
        "action": "in place",
        "changes": [{"key": "ttl", "old": "7200.0", "new": "60.0"}],
    }
    assert run("reload", *where).stdout.endswith("13 unchanged\n")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[daemon", 3, "not TOML"),
        (CONFIG + "[agents.a]\nclass = 'json:JSONDecoder'\n", 3, "expected a holdfast.Agent"),
        ("[daemon]\nname = 'other'\n", 1, "stop the daemon"),
    ],
)
def test_what_is_refused_says_why(
    daemon: Daemon, run: Run, text: str, code: int, words: str
) -> None:
    daemon.config_file.write_text(text)
    done = run("reload", "--run-dir", str(daemon.run_dir))
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr


def test_a_refusal_is_in_the_plan_of_a_dry_run(daemon: Daemon, run: Run) -> None:
    daemon.config_file.write_text("[daemon]\nname = 'other'\n")
    done = run("reload", "--dry-run", "--json", "--run-dir", str(daemon.run_dir))
    assert done.returncode == 1
    assert "stop the daemon" in json.loads(done.stdout)["refusals"][0]


def test_where_no_daemon_runs_nothing_is_reloaded(tmp_path: Path, run: Run) -> None:
    assert run("reload").returncode == 4


def test_where_there_is_no_swap_none_is_cancelled(daemon: Daemon, run: Run) -> None:
    done = run("swap", "cancel", "--json", "--run-dir", str(daemon.run_dir))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no swap is under way, and none was cut off" in done.stderr
