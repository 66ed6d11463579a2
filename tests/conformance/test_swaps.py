"""The data of a daemon moves to PostgreSQL and back while it is used: B2 to B4."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

import holdfast
from holdfast.errors import ConfigError, HoldfastError, ReloadError
from holdfast.supervisors.in_place import ON_DATABASE
from holdfast.testing.faults import AtPoint, Delay, Kill, Stop
from tests.conformance.servers import QUICK, PostgresqlServer, running_postgresql
from tests.daemon import CONFIG, ForkedDaemon
from tests.supervisors.reload_rig import actions, pids
from tests.supervisors.swap_rig import (
    PATIENCE,
    Senders,
    check,
    commit_point,
    configured,
    last_swap,
    move,
)

MANY: Final = 1_000_000  # events that are there before


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ForkedDaemon]:
    with ForkedDaemon(tmp_path, CONFIG, profile={}, faults=[]) as daemon:
        yield daemon


def postgresql(dsn: str) -> str:
    return configured(CONFIG, f'backend = "postgresql"\ndsn = "{dsn}"')


def there_and_back(daemon: ForkedDaemon, dsn: str, senders: Senders) -> list[float]:
    """The pauses."""
    pauses = []
    for text in (postgresql(dsn), CONFIG):
        senders.wait_for(20)
        move(daemon, text)
        record = last_swap(daemon)
        assert (record.error, record.ok, record.verified) == ("", True, True)
        pauses.append(record.pause)
    senders.wait_for(20)
    return pauses


def test_to_postgresql_and_back_under_load_nothing_is_lost_doubled_or_out_of_order(
    daemon: ForkedDaemon, postgresql_server: PostgresqlServer
) -> None:
    """B2, small.  Old data in the way is refused by name until it is forgotten."""
    dsn = postgresql_server.new_database()
    with Senders(daemon.run_dir) as senders:
        pauses = there_and_back(daemon, dsn, senders)
    print("held for", pauses, "s; the slowest update took", round(senders.slowest, 3), "s")
    check(daemon.database, senders)
    with pytest.raises(ReloadError, match="swap forget"):
        move(daemon, postgresql(dsn))
    daemon.hub.supervision.forget_swapped()
    with Senders(daemon.run_dir, behind=senders) as more:
        move(daemon, postgresql(dsn))
        more.wait_for(5)
    assert commit_point(daemon)["backend"] == "postgresql"
    check(dsn, more)


def test_a_target_that_cannot_be_used_is_refused_and_nothing_stops(
    daemon: ForkedDaemon, postgresql_server: PostgresqlServer
) -> None:
    """B3: before anything is touched."""
    dsn = postgresql_server.new_database()
    pid = daemon.pid("writer")
    postgresql_server.execute("CREATE ROLE stranger LOGIN", "postgres")
    for text, words in (
        (dsn.replace("user=holdfast", "user=stranger"), "may not make schema holdfast"),
        (dsn.replace("dbname=", "dbname=no"), "there is no such database"),
        ("postgresql://me:secret@127.0.0.1:1/x", "127.0.0.1"),
        (f'{dsn}"\ndurability = "disk', "runs with fsync = off"),  # as servers of tests do
    ):
        with pytest.raises((ConfigError, ReloadError), match=words) as caught:
            move(daemon, postgresql(text))
        assert "secret" not in str(caught.value)
    assert daemon.pid("writer") == pid
    assert daemon.hub.supervision.swaps() == []


def test_a_log_that_somebody_keeps_from_its_end_costs_the_writer_nothing_and_ends_later(
    tmp_path: Path, postgresql_server: PostgresqlServer
) -> None:
    """Triggers of a table go when nobody reads it: a dump may take hours."""
    dsn = postgresql_server.new_database()
    with ForkedDaemon(tmp_path, postgresql(dsn), profile={}, faults=[]) as daemon:
        daemon.hub.state.create("agent", {}, id="a")
        pid = daemon.pid("writer")
        daemon.faults.arm(AtPoint(point="copier.after_range", process="/copier", action=Kill()))
        with pytest.raises(ReloadError, match="goes on from there"):
            move(daemon, CONFIG)
        with psycopg.connect(dsn) as other:
            other.execute("SELECT FROM holdfast.entities")
            with pytest.raises(HoldfastError, match=r"its log is not ended: .*lock timeout"):
                daemon.hub.supervision.cancel_swap()
        assert daemon.pid("writer") == pid
        daemon.hub.supervision.cancel_swap()
    with psycopg.connect(dsn) as other:
        sql = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'swap_log%'"
        assert other.execute(sql).fetchone() == (0,)


@pytest.fixture
def server() -> Iterator[PostgresqlServer]:
    """One that the test may kill."""
    with running_postgresql() as server:
        yield server


@pytest.mark.slow  # servers and daemons; conformance/test_migrating_failures.py has it without
def test_a_server_that_is_killed_in_the_middle_is_given_up_and_the_second_try_succeeds(
    server: PostgresqlServer, daemon: ForkedDaemon
) -> None:
    dsn = server.new_database()
    with Senders(daemon.run_dir) as senders, holdfast.connect(daemon.run_dir) as hub:
        daemon.faults.arm(
            AtPoint(point="copier.before_finishing", process="/copier", action=Delay(1.0))
        )
        daemon.config_file.write_text(postgresql(dsn))
        asked = hub.ref("root").ask(
            holdfast.actors.messages.reload.Reload(), timeout=PATIENCE, block=False
        )
        daemon.until(lambda: daemon.faults.injected() or None)  # all are held
        server.kill()
        with pytest.raises(HoldfastError, match="stays where it was"):
            asked.get(timeout=PATIENCE)
        senders.wait_for(5)
        assert commit_point(daemon)["backend"] == "sqlite"
        server.start()
        move(daemon, postgresql(dsn))
        senders.wait_for(5)
    assert [record.ok for record in daemon.hub.supervision.swaps()] == [False, True]
    assert last_swap(daemon).resumed > 0
    check(dsn, senders)


@pytest.fixture
def small() -> Iterator[tuple[PostgresqlServer, Callable[[int], None]]]:
    """A server whose data is on a disk of its own, and what leaves so many bytes free on that."""
    mount = 'mount -t tmpfs -o size=200m,mode=0700 none "$1" && echo there && exec sleep 1000'
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-"))
    (folder / "data").mkdir()
    command = ["unshare", "--mount", "sh", "-c", mount, "-", str(folder / "data")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        if holder.stdout.readline() != b"there\n":
            pytest.skip("nothing can be mounted here: run as root")
        within = ("nsenter", "--mount", "-t", str(holder.pid))
        server = PostgresqlServer(folder, options=(*QUICK, "max_wal_size=48MB"), within=within)
        server.start()

        def leave(size: int) -> None:
            filler = folder / "data/filler"
            script = f"rm -f {filler}; free=$(df -B1 --output=avail {filler.parent} | tail -1)"
            if size:
                script += f"; fallocate -l $((free - {size})) {filler}"
            subprocess.run([*within, "sh", "-c", script], check=True)

        yield server, leave
        server.stop()
    finally:
        holder.kill()
        holder.communicate()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow  # a server with a disk of its own
def test_a_server_whose_disk_is_full_is_named_and_the_swap_goes_on_when_there_is_room(
    small: tuple[PostgresqlServer, Callable[[int], None]], daemon: ForkedDaemon
) -> None:
    """B3.  In the middle of the copy, then in the tail."""
    server, leave = small
    dsn = server.new_database()
    filler = "x" * 2_000
    for n in range(8_000):
        daemon.hub.events.emit("before", {"n": n, "filler": f"{n}{filler}"})
    daemon.hub.flush(timeout=PATIENCE)
    leave(6 * 2**20)
    with Senders(daemon.run_dir) as senders, holdfast.connect(daemon.run_dir) as hub:
        was = pids(daemon)
        with pytest.raises(HoldfastError, match="full"):
            move(daemon, postgresql(dsn))
        assert pids(daemon) == was
        leave(0)
        (fault,) = daemon.faults.arm(
            AtPoint(point="copier.before_following", process="/copier", action=Stop())
        )
        asked = hub.ref("root").ask(
            holdfast.actors.messages.reload.Reload(), timeout=PATIENCE, block=False
        )
        daemon.until(lambda: daemon.faults.injected(fault) or None)
        leave(2**16)
        for n in range(3_000):
            hub.events.emit("tail", {"n": n, "filler": f"{n}{filler}"})
        hub.flush(timeout=PATIENCE)
        os.kill(daemon.faults.injected()[-1].pid, signal.SIGCONT)
        with pytest.raises(HoldfastError, match="full"):
            asked.get(timeout=PATIENCE)
        senders.wait_for(5)
        leave(0)
        move(daemon, postgresql(dsn))
        senders.wait_for(5)
    check(dsn, senders)
    first, second, last = daemon.hub.supervision.swaps()
    assert (first.phase, second.phase) == ("copying", "following")
    assert 0 < second.resumed < last.resumed
    assert (last.ok, last.verified) == (True, True)


@pytest.mark.slow  # two swaps and two starts
def test_another_address_of_the_same_database_moves_nothing(
    daemon: ForkedDaemon, postgresql_server: PostgresqlServer
) -> None:
    """Another password, and another name of the server's socket; a start goes by it as well."""
    dsn = postgresql_server.new_database()
    move(daemon, postgresql(dsn))
    folder = str(postgresql_server.folder)
    other = dsn.replace(folder, f"{folder}/.")
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(5)
        was = pids(daemon)
        done = move(daemon, postgresql(f"{other} password=another"))
        assert actions(done) == {"database": "in place"} | dict.fromkeys(ON_DATABASE, "restart")
        senders.wait_for(5)
        now = pids(daemon)
        assert {name for name, pid in now.items() if was[name] != pid} == {*ON_DATABASE}
    assert len(daemon.hub.supervision.swaps()) == 1
    assert commit_point(daemon)["dsn"] == f"{other} password=another"
    daemon.restart()
    assert daemon.hub.state.get("counter") is not None
    check(dsn, senders)


def test_a_root_that_is_killed_when_it_is_committed_goes_on_with_postgresql(
    daemon: ForkedDaemon, postgresql_server: PostgresqlServer
) -> None:
    """B4: though the config is put back, too."""
    dsn = postgresql_server.new_database()
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(5)
        daemon.faults.arm(AtPoint(point="swap.after_commit_point", process="root", action=Kill()))
        with pytest.raises(HoldfastError):
            move(daemon, postgresql(dsn))
        daemon.process.wait(PATIENCE)
        daemon.faults.disarm()
        daemon.config_file.write_text(CONFIG)
        daemon.restart()
        assert "the data is in postgresql since" in daemon.log
        senders.wait_for(5)
        daemon.until(lambda: daemon.hub.supervision.swaps() or None)
        assert last_swap(daemon).ok
    check(dsn, senders)


@pytest.mark.slow
def test_a_million_events_move_there_and_back_and_the_pause_is_no_longer(
    daemon: ForkedDaemon, postgresql_server: PostgresqlServer
) -> None:
    """B2.  Slow: minutes."""
    dsn = postgresql_server.new_database()
    for at in range(0, MANY, 10_000):
        for n in range(at, at + 10_000):
            daemon.hub.events.emit("before", {"n": n}, session="before")
        daemon.hub.flush(timeout=PATIENCE)
    with Senders(daemon.run_dir, events=2_000, updates=200) as senders:
        pauses = there_and_back(daemon, dsn, senders)
    print("held for", pauses, "s; the slowest update took", round(senders.slowest, 3), "s")
    check(daemon.database, senders)
    connection = sqlite3.connect(daemon.database)
    count = "SELECT count(*), count(DISTINCT data) FROM events WHERE session = 'before'"
    assert connection.execute(count).fetchone() == (MANY, MANY)
    connection.close()
