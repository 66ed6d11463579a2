"""``holdfast doctor``, and what ``status`` says of the database's size."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from holdfast.actors.messages.writer import WriterStats
from holdfast.cli.doctor import _of_sizes
from holdfast.cli.sizes import size
from holdfast.cli.surroundings import of_limits, of_memory, of_versions
from holdfast.storage.size_records import Sizes
from tests.actors.overloading import rows
from tests.commandline import command_line
from tests.daemon import CONFIG, TIMEOUT, Daemon

GIB = 2**30
COUNT = 3_000


def run(daemon: Daemon, *command: str) -> tuple[int, str]:
    done = command_line(daemon.folder, *command)
    return done.returncode, done.stdout


def asked(daemon: Daemon, command: str) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(run(daemon, command, "--json")[1])
    return printed


@pytest.fixture
def daemon(tmp_path: Path) -> Any:
    with Daemon(tmp_path) as daemon:
        for n in range(COUNT):
            daemon.hub.events.emit("n", ["x" * 500, n])
        daemon.hub.flush(timeout=TIMEOUT)
        yield daemon


def test_status_and_doctor_say_how_large_the_database_is_and_how_fast_it_grows(
    daemon: Daemon,
) -> None:
    database = asked(daemon, "status")["database"]
    assert database["path"] == str(daemon.database)
    (stored,) = rows(daemon, "SELECT count(*) FROM events")[0]
    assert database["events"] == stored
    assert database["file"] + database["wal"] > COUNT * 500
    # All of it came within ten minutes, which is what the day is taken to be made of.
    assert database["events_per_day"] == stored * 144
    assert database["bytes_per_day"] > stored * 144 * 500
    assert database["retention_rules"] == 0
    assert database["disk_free"] > 0
    assert "nothing is ever deleted" in run(daemon, "status")[1]

    code, text = run(daemon, "doctor")
    assert "SQLite" in text
    report = asked(daemon, "doctor")
    tables = {table["name"]: table for table in report["tables"]}
    assert tables["events"]["rows"] >= stored
    assert tables["events"]["bytes"] > COUNT * 500
    assert {finding["what"] for finding in report["findings"]} >= {
        "versions",
        "packages",
        "memory",
        "limits",
        "clock",
        "leftovers",
        "run directory",
        "database file",
        "database",
        "disk",
    }
    assert code == (1 if "error" in {finding["level"] for finding in report["findings"]} else 0)


def test_doctor_finds_what_others_may_do(daemon: Daemon) -> None:
    os.chmod(daemon.run_dir, 0o755)
    os.chmod(daemon.database, 0o666)
    code, text = run(daemon, "doctor")
    assert code == 1
    assert "chmod 700" in text
    assert "others can write it" in text


def test_doctor_finds_a_socket_of_nobody_and_a_clock_that_was_set(daemon: Daemon) -> None:
    def told() -> str:
        return run(daemon, "doctor")[1]

    assert "ok       leftovers" in told()
    assert "ok       clock" in told()
    strange = daemon.run_dir / "strange.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(strange))
    pid_file = daemon.run_dir / "root.pid"
    written = pid_file.stat().st_mtime
    os.utime(pid_file, (written, written - 3_600))  # as if the clock had been an hour behind then
    text = told()
    assert "nobody listens at strange.sock: delete" in text
    # Less by what the start took before it wrote that file.
    assert re.search(r"the wall clock was set by \+3[56]\d\d s", text)


def test_without_a_daemon_doctor_says_what_a_killed_one_left(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait(TIMEOUT)
        done = command_line(tmp_path, "doctor")
        daemon.restart()
        assert "ok       leftovers" in run(daemon, "doctor")[1]
    assert done.returncode == 4
    assert "of a daemon that was killed; the next start clears them" in done.stdout
    assert "root.sock" in done.stdout
    assert "no daemon at var/run" in done.stderr
    nowhere = command_line(tmp_path, "doctor", "--run-dir", "nowhere", "--json")
    assert nowhere.returncode == 4
    assert "versions" in {each["what"] for each in json.loads(nowhere.stdout)["findings"]}


def test_packages_have_floors() -> None:
    def level(*requires: str) -> str:
        (found,) = (each for each in of_versions(list(requires)) if each.what == "packages")
        return f"{found.level}: {found.text}"

    assert level("click>=8.1").startswith("ok: click ")
    assert "is older than 999" in level("click>=999.0")
    assert "no-such-package is not installed" in level("no-such-package>=1")
    assert level('no-such-package>=1; extra == "x"') == "ok: "


def test_few_descriptors_and_little_memory_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    limits = tmp_path / "7" / "limits"
    limits.write_text("Max open files            256                  4096                 files\n")
    (found,) = of_limits(7, tmp_path)
    assert found.level == "warning"
    assert "256 open files" in found.text
    assert "ulimit -n 1024" in found.text
    meminfo = tmp_path / "meminfo"
    for available, level in ((100_000, "warning"), (4_000_000, "ok")):
        meminfo.write_text(f"MemTotal: 9 kB\nMemAvailable:  {available} kB\n")
        assert [each.level for each in of_memory(meminfo)] == [level]


def test_status_comes_without_the_database_when_query_is_down(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG) as daemon:
        run(daemon, "stop", "query")
        assert asked(daemon, "status")["database"] is None
        assert run(daemon, "doctor")[0] == 1


@pytest.mark.parametrize(
    ("free", "daily", "rules", "levels"),
    [
        (100 * GIB, GIB, 0, ["ok"]),
        (5 * GIB, GIB, 0, ["warning"]),
        (GIB // 2, GIB, 0, ["error"]),
        (50 * GIB, 10 * GIB, 1, ["ok"]),
        (GIB, 0, 0, ["warning"]),
    ],
)
def test_the_disk_has_to_last_a_week(free: int, daily: int, rules: int, levels: list[str]) -> None:
    sizes = Sizes("x", GIB, 0, 0, 1_000, 0, 10, daily, free, 100 * GIB)
    writing = WriterStats(0, 0, 0, 0, rules)
    found = [each for each in _of_sizes(sizes, writing) if each.what == "disk"]
    assert [each.level for each in found] == levels


def test_a_size_has_the_unit_that_fits() -> None:
    assert [size(0), size(1023), size(1536), size(3 * GIB)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "3.0 GiB",
    ]


@pytest.mark.slow  # 130 MB have to be written before the second attempt to empty the log
def test_status_says_that_a_reader_keeps_the_log_from_being_emptied(tmp_path: Path) -> None:
    """Scenario D12."""
    with Daemon(tmp_path) as daemon:
        hub = daemon.hub
        hub.events.emit("first")
        hub.flush(timeout=TIMEOUT)
        with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
            viewer.execute("BEGIN")
            viewer.execute("SELECT count(*) FROM events").fetchall()
            for _ in range(30):
                for n in range(1_000):
                    hub.events.emit("n", ["x" * 7_900, n])
                hub.flush(timeout=TIMEOUT)
                if asked(daemon, "status")["database"]["wal_stuck"] >= 2:
                    break
            else:
                pytest.fail("never said to be stuck")
            assert "keeps the log from being emptied" in run(daemon, "status")[1]
