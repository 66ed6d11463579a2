"""``holdfast backup``, ``restore``, ``verify`` and ``doctor --repair``, with real daemons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.meter import Meter
from holdfast.client import connect
from holdfast.errors import CursorError
from holdfast.storage.database_file import PAGE_SIZE
from tests.actors.overloading import committed, rows
from tests.commandline import command_line
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.storage.damaging import pages_of, wipe


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return command_line(cwd, *command)


def done(*command: str | Path, cwd: Path) -> dict[str, Any]:
    ended = run(*command, "--json", cwd=cwd)
    assert (ended.returncode, ended.stderr) == (0, "")
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def emit(daemon: Daemon, first: int, count: int) -> None:
    for n in range(first, first + count):
        daemon.hub.events.emit("n", n, subject="x" * 500)
    daemon.hub.flush(timeout=TIMEOUT)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a daemon that has stopped in order, with a thousand events."""
    folder = tmp_path_factory.mktemp("daemon")
    with Daemon(folder) as daemon:
        emit(daemon, 0, 1_000)
    return folder


def copy_of(stopped: Path, folder: Path) -> Path:
    """Another daemon's folder, with the same in it."""
    import shutil

    shutil.copytree(stopped / "var", folder / "var", ignore=shutil.ignore_patterns("run"))
    return folder / "var" / "lib" / "holdfast.db"


def test_a_backup_of_a_running_daemon_goes_back_and_those_who_had_sent_more_go_on(
    tmp_path: Path,
) -> None:
    """A program that outlives all of it hears of no error; what is lost is written down."""
    with Daemon(tmp_path) as daemon:
        emit(daemon, 0, 300)
        told = done("backup", "b.db", cwd=tmp_path)
        assert told["rows"]["events"] == told["last_seq"] >= 300
        hub = connect(daemon.run_dir)
        for n in range(300, 350):
            hub.events.emit("n", n)
        hub.flush(timeout=TIMEOUT)
        cursor = hub.events.cursor()
        refused = run("restore", "b.db", cwd=tmp_path)
        assert refused.returncode == 1
        assert "belongs to a running daemon" in refused.stderr
        daemon.stop()
        restored = done("restore", "b.db", cwd=tmp_path)
        assert Path(restored["aside"]).exists()
        assert restored["lost_events"] >= 50
        daemon.start()
        hub.events.emit("n", 350)
        hub.flush(timeout=TIMEOUT)
        assert committed(daemon) == [*range(300), 350]
        assert (50, "restored") in rows(daemon, "SELECT count, reason FROM dropped")
        with pytest.raises(CursorError, match="restored"):
            hub.events.query(after=cursor)
        hub.close()
        daemon._abandon_hub()
        assert done("verify", cwd=tmp_path)["whole"]


def test_backup_names_what_is_in_its_way_and_leaves_nothing(stopped: Path, tmp_path: Path) -> None:
    copy_of(stopped, tmp_path)
    assert run("backup", "b.db", cwd=tmp_path).returncode == 0
    ended = run("backup", "b.db", cwd=tmp_path)
    assert (ended.returncode, "--force" in ended.stderr) == (1, True)
    assert run("backup", "b.db", "--force", cwd=tmp_path).returncode == 0
    ended = run("backup", "c.db", "--run-dir", "nowhere", "--data-dir", "none", cwd=tmp_path)
    assert ended.returncode == 1
    (tmp_path / "empty").mkdir()
    ended = run("backup", "c.db", cwd=tmp_path / "empty")
    assert (ended.returncode, "--config or --data-dir" in ended.stderr) == (4, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.db", "empty", "var"]


def test_ctrl_c_leaves_no_half_backup(stopped: Path, tmp_path: Path) -> None:
    database = copy_of(stopped, tmp_path)
    import apsw

    connection = apsw.Connection(str(database))
    connection.execute("CREATE TABLE ballast (x)")
    for _ in range(30):
        connection.execute("INSERT INTO ballast VALUES (zeroblob(8000000))")
    connection.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast", "backup", "b.db"], cwd=tmp_path, stderr=subprocess.PIPE
    )
    deadline = 2_000
    while not list(tmp_path.glob(".b.db*")) and process.poll() is None and deadline:
        deadline -= 1
        os.sched_yield()
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 130
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert [path.name for path in tmp_path.iterdir()] == ["var"]


def test_verify_says_what_is_wrong_and_restore_takes_nothing_of_it(
    stopped: Path, tmp_path: Path
) -> None:
    database = copy_of(stopped, tmp_path)
    done("backup", "b.db", cwd=tmp_path)
    leaf = [page for page, kind in pages_of(tmp_path / "b.db", "events") if kind == "leaf"][1]
    wipe(tmp_path / "b.db", leaf)
    before = database.read_bytes()
    ended = run("verify", "b.db", "--json", cwd=tmp_path)
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert not found["whole"]
    assert any(f"page {leaf}" in one["text"] for one in found["findings"])
    ended = run("restore", "b.db", cwd=tmp_path)
    assert ended.returncode == 3
    assert "nothing was changed" in ended.stderr
    assert database.read_bytes() == before
    (tmp_path / "text.db").write_text("hello\n")
    for command in ("verify", "restore"):
        ended = run(command, "text.db", cwd=tmp_path)
        assert (ended.returncode, "a text that begins 'hello" in ended.stderr) == (3, True)
    assert run("verify", "missing.db", cwd=tmp_path).returncode == 3


@pytest.mark.parametrize(
    ("damage", "code", "text"),
    [
        ("head", 1, "the head of the file is damaged"),
        ("empty", 1, "is empty, but there was a database here"),
        ("cut", 1, "is cut off"),
        ("text", 1, "a text that begins"),
        ("folder", 1, "is a directory"),
        ("foreign", 1, "database of another program"),
        ("newer", 1, "schema version 99"),
        ("senders", 1, "damaged; see where with `holdfast verify`"),
    ],
)
def test_a_start_on_what_is_no_database_is_refused_by_name_and_changes_nothing(
    stopped: Path, tmp_path: Path, damage: str, code: int, text: str
) -> None:
    database = copy_of(stopped, tmp_path)
    _damage(database, damage)
    before = database.read_bytes() if database.is_file() else b""
    (tmp_path / "test.toml").write_text(CONFIG)
    ended = run("start", "test.toml", cwd=tmp_path)
    assert ended.returncode == code
    assert text in ended.stderr
    assert str(database) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (database.read_bytes() if database.is_file() else b"") == before
    assert not list(database.parent.glob("*.damaged*"))


def _damage(database: Path, how: str) -> None:
    import apsw

    match how:
        case "head":
            wipe(database, 1)
        case "empty":
            os.truncate(database, 0)
        case "cut":
            os.truncate(database, 5 * PAGE_SIZE)
        case "text":
            database.write_text("just a text\n" * 50)
        case "folder":
            database.unlink()
            database.mkdir()
        case "foreign":
            database.unlink()
            connection = apsw.Connection(str(database))
            connection.execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
            connection.close()
        case "newer":
            connection = apsw.Connection(str(database))
            connection.pragma("user_version", 99)
            connection.close()
        case "senders":
            for page, _ in pages_of(database, "senders"):
                wipe(database, page)


def test_doctor_repairs_what_start_refuses(stopped: Path, tmp_path: Path) -> None:
    database = copy_of(stopped, tmp_path)
    assert not done("doctor", "--repair", cwd=tmp_path)["repaired"]
    wipe(database, 1)
    wipe(database, [page for page, kind in pages_of_wiped(stopped) if kind == "leaf"][1])
    told = done("doctor", "--repair", cwd=tmp_path)
    assert told["whole"]
    assert Path(told["aside"]).stat().st_size == database.stat().st_size or told["aside"]
    lost = told["tables"]["events"]["lost"]
    assert 0 < lost < 100
    with Daemon(tmp_path) as daemon:
        assert len(committed(daemon)) >= 1_000 - lost
        emit(daemon, 1_000, 1)
        assert committed(daemon)[-1] == 1_000
        ended = run("doctor", "--repair", cwd=tmp_path)
        assert (ended.returncode, "running daemon" in ended.stderr) == (1, True)


def pages_of_wiped(stopped: Path) -> list[tuple[int, str]]:
    """Of the same database before it was damaged."""
    return list(pages_of(stopped / "var" / "lib" / "holdfast.db", "events"))


def test_progress_has_rate_and_remaining_time() -> None:
    line = Meter("backup").line(25 * 2**20, 100 * 2**20, 5.0)
    assert line == "backup: 25 %, 25.0 MiB of 100.0 MiB, 5.0 MiB/s, 15 s left"


def test_a_ring_begins_behind_events_that_cannot_be_read_and_the_daemon_starts(
    stopped: Path, tmp_path: Path
) -> None:
    database = copy_of(stopped, tmp_path)
    leaves = [page for page, kind in pages_of(database, "events") if kind == "leaf"]
    wipe(database, leaves[-4])
    with Daemon(tmp_path) as daemon:
        daemon.until(
            lambda: rows(daemon, "SELECT count(*) FROM events WHERE type='log:damaged'")[0][0]
        )
        newest = daemon.hub.events.query(limit=20, reverse=True)
        assert len(newest) == 20
        emit(daemon, 1_000, 1)
        assert "are not in the ring" in daemon.log.read_text()
        assert daemon.child("log").restarts == 0
