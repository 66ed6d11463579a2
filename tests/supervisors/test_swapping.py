"""Swap of the database of a daemon that runs: scenarios 38, 39 and B2 to B4, without a server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

import holdfast
from holdfast.errors import ChildError, HoldfastError, ReloadError
from holdfast.supervisors.in_place import ON_DATABASE
from holdfast.testing.faults import AtPoint, Delay, Kill, Raise, Stop
from holdfast.testing.processes import descendants, is_alive, lasting
from tests.daemon import CONFIG, ForkedDaemon
from tests.supervisors.reload_rig import actions, pids
from tests.supervisors.swap_rig import (
    PATIENCE,
    Senders,
    check,
    commit_point,
    configured,
    data,
    last_swap,
    move,
)

OTHER: Final = configured(CONFIG, 'path = "other.db"')
MEMORY: Final = configured(CONFIG, 'backend = "memory"')


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ForkedDaemon]:
    with ForkedDaemon(tmp_path, CONFIG, profile={}, faults=[]) as daemon:
        yield daemon


def is_recovered(daemon: ForkedDaemon) -> bool:
    """What a killed root has left is on record; that swap is over, or to be gone on with."""
    under_way = data(daemon, "swapping")
    return not under_way.exists() or json.loads(under_way.read_text())["is_cut"]


def refused(daemon: ForkedDaemon, text: str) -> ReloadError:
    with pytest.raises(ReloadError) as caught:
        move(daemon, text)
    return caught.value


def root_dies(daemon: ForkedDaemon, text: str) -> None:
    """In the middle of the reload; it is started again, with that file, once all is gone."""
    below = descendants(daemon.process.pid)
    with pytest.raises(HoldfastError):
        move(daemon, text)
    assert daemon.process.wait(PATIENCE) == -signal.SIGKILL
    assert not lasting(
        lambda: {pid: one for pid, one in below.items() if is_alive(one)}, within=PATIENCE
    )
    daemon.faults.disarm()
    daemon.restart()


def test_the_data_moves_under_load_and_nobody_sees_an_error(daemon: ForkedDaemon) -> None:
    """There and back, by way of memory; all others go on as the same processes."""
    before = pids(daemon)
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(20)
        for text in (MEMORY, OTHER):
            done = move(daemon, text)
            assert actions(done) == {"database": "swap"} | dict.fromkeys(ON_DATABASE, "restart")
            senders.wait_for(20)
    check(data(daemon, "other.db"), senders)
    after = pids(daemon)
    assert {name for name, pid in after.items() if before[name] != pid} == {*ON_DATABASE}
    first, second = daemon.hub.supervision.swaps()
    for record, target in ((first, "memory"), (second, "sqlite (other.db)")):
        assert (record.error, record.ok, record.verified) == ("", True, True)
        assert record.target == target
        assert record.rows == sum(table.rows for table in record.tables) > 0
        assert 0 < record.pause < PATIENCE
        event = daemon.next_event("holdfast:swap")
        assert event.data["swap"] == record.swap
        assert event.data["pause"] == record.pause
    assert commit_point(daemon) == {
        "backend": "sqlite",
        "path": "other.db",
        "since": commit_point(daemon)["since"],
        "swap": second.swap,
    }
    assert Path(first.old).exists()
    assert sorted(daemon.hub.supervision.forget_swapped()) == sorted([first.old, second.old])
    assert not Path(first.old).exists()
    assert data(daemon, "other.db").exists()
    assert daemon.hub.supervision.forget_swapped() == []


def test_a_start_goes_by_the_commit_point_says_so_and_a_reload_moves_it(
    daemon: ForkedDaemon,
) -> None:
    """39 f: whatever ends the daemon after a swap, the old config does not bring the old data."""
    move(daemon, OTHER)
    daemon.hub.state.create("agent", {"n": 1}, id="a")
    daemon.config_file.write_text(CONFIG)
    daemon.restart()
    assert "the data is in sqlite (other.db) since" in daemon.log
    event = daemon.next_event("holdfast:swap", where=lambda event: event.data["phase"] == "obeyed")
    assert event.data["backend"] == "sqlite"
    assert daemon.hub.state.get("a") is not None
    assert not data(daemon, "holdfast.db").exists()
    (line,) = [one for one in move(daemon, CONFIG).lines if one.name == "database"]
    assert [(one.key, one.old, one.new) for one in line.changes] == [
        ("path", '"other.db"', '"holdfast.db"')
    ]
    assert daemon.hub.state.get("a") is not None


@pytest.mark.slow  # six tries; conformance/test_swaps.py has one of each
def test_who_may_not_move_is_where_it_was_and_the_second_try_succeeds(
    daemon: ForkedDaemon,
) -> None:
    """B3, 39 a: in the hold the copier or the writer dies or stands still; no commit point."""
    with Senders(daemon.run_dir) as senders:
        fails_at(daemon, senders, "copier.after_finishing", Kill())
        daemon.faults.arm(
            AtPoint(point="copier.before_finishing", process="/copier", action=Stop())
        )
        short = configured(CONFIG, 'path = "other.db"\nhold_timeout = 2.0')
        assert "hold_timeout = 2 s" in str(refused(daemon, short))
        senders.wait_for(5)
        daemon.faults.disarm()  # on a busy machine it has not come so far
        daemon.faults.arm(AtPoint(point="writer.before_emptying", process="writer", action=Stop()))
        assert "hold_timeout = 2 s" in str(
            refused(daemon, f"{short}[actors.writer]\nshutdown = 3.0\n")
        )
        daemon.faults.disarm()
        senders.wait_for(5)
        draft = data(daemon, "backend.draft")
        draft.mkdir()
        assert str(data(daemon, "backend")) in str(refused(daemon, OTHER))
        draft.rmdir()
        senders.wait_for(5)
        move(daemon, OTHER)
        assert not data(daemon, "swapping").exists()
        senders.wait_for(5)
    check(data(daemon, "other.db"), senders)
    *failed, last = daemon.hub.supervision.swaps()
    assert [record.ok for record in failed] == [False] * 4
    assert all(record.error for record in failed)
    assert last.ok


@pytest.mark.slow
@pytest.mark.parametrize("action", [Kill(), Raise(28)])
def test_a_copier_that_fails_anywhere_leaves_all_as_it_was(
    daemon: ForkedDaemon, action: Kill | Raise
) -> None:
    """Slow: a swap, and its end, at each point."""
    points = ["preparing", "copying", "following", "finishing"]
    names = [f"copier.after_{point}" for point in points]
    names += ["copier.before_preparing", "copier.before_finishing"]
    with Senders(daemon.run_dir) as senders:
        for name in names:
            fails_at(daemon, senders, name, action)
        move(daemon, OTHER)
        senders.wait_for(5)
    check(data(daemon, "other.db"), senders)


def fails_at(daemon: ForkedDaemon, senders: Senders, point: str, action: Kill | Raise) -> None:
    daemon.faults.arm(AtPoint(point=point, process="/copier", action=action))
    error = refused(daemon, OTHER)
    assert "the database stays where it was" in str(error)
    assert commit_point(daemon)["path"] == "holdfast.db"
    assert not last_swap(daemon).ok
    senders.wait_for(5)


@pytest.mark.slow  # the same of PostgreSQL is not
def test_other_data_in_the_way_is_refused_and_stays(daemon: ForkedDaemon) -> None:
    daemon.hub.state.create("agent", {}, id="a")
    move(daemon, OTHER)
    old = daemon.until(lambda: last_swap(daemon).old)
    shutil.copy(old, data(daemon, "holdfast.db"))  # as if it were another's
    was = pids(daemon)
    error = refused(daemon, CONFIG)
    assert str(data(daemon, "holdfast.db")) in str(error)
    assert pids(daemon) == was
    assert last_swap(daemon).phase == "preparing"
    data(daemon, "holdfast.db").unlink()
    move(daemon, CONFIG)
    assert daemon.hub.state.get("a") is not None


def test_one_that_dies_in_the_drain_and_one_before_it_is_ready_cost_nothing(
    daemon: ForkedDaemon,
) -> None:
    """39 b: the old writer as it closes, the new one, and the new log, before they are ready."""
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(5)
        drained, _, _ = daemon.faults.arm(
            AtPoint(point="writer.before_emptying", process="writer", action=Kill()),
            AtPoint(point="child.after_start", process="writer", action=Kill()),
            AtPoint(point="child.after_start", process="log", action=Kill()),
        )
        move(daemon, OTHER)
        senders.wait_for(5)
        assert len(daemon.faults.injected()) == 3
        assert daemon.faults.injected(drained)
    check(data(daemon, "other.db"), senders)


@pytest.mark.slow  # a daemon that is killed and started again
def test_a_supervisor_that_dies_in_the_hold_starts_none_of_those_that_are_held(
    daemon: ForkedDaemon,
) -> None:
    daemon.faults.arm(
        AtPoint(point="copier.before_finishing", process="/copier", action=Delay(1.0))
    )
    with Senders(daemon.run_dir) as senders, holdfast.connect(daemon.run_dir) as hub:
        senders.wait_for(5)
        daemon.config_file.write_text(OTHER)
        asked = hub.ref("root").ask(
            holdfast.actors.messages.reload.Reload(), timeout=PATIENCE, block=False
        )
        daemon.until(lambda: daemon.faults.injected() or None)
        state = daemon.kill("state")
        daemon.wait_until_running("state", after=state)
        for name in ON_DATABASE:
            assert daemon.child(name).state == "stopped"
            with pytest.raises(ChildError, match="while the database moves"):
                daemon.hub.supervision.restart_child(name)
        asked.get(timeout=PATIENCE)
        senders.wait_for(5)
    check(data(daemon, "other.db"), senders)


def test_a_second_reload_is_busy_and_the_swap_says_how_far_it_is(daemon: ForkedDaemon) -> None:
    """39 e."""
    daemon.faults.arm(AtPoint(point="copier.after_copying", process="/copier", action=Stop()))
    hub = daemon.hub
    daemon.config_file.write_text(OTHER)
    with pytest.raises(HoldfastError), holdfast.connect(daemon.run_dir) as other:
        other.supervision.reload(timeout=0.5)
    daemon.until(lambda: daemon.faults.injected() or None)
    status = hub.supervision.swap().status
    assert status is not None
    assert (status.phase, status.target) == ("copying", "sqlite (other.db)")
    with pytest.raises(ReloadError, match="busy"):
        hub.supervision.reload()
    with pytest.raises(ReloadError, match="busy"):
        hub.supervision.forget_swapped()
    (line,) = daemon.faults.injected()
    os.kill(line.pid, signal.SIGCONT)
    daemon.until(lambda: commit_point(daemon)["path"] == "other.db")
    daemon.until(lambda: hub.supervision.swap().status is None)
    assert last_swap(daemon).ok


def test_a_root_that_is_killed_before_the_commit_point_is_where_it_was(
    daemon: ForkedDaemon,
) -> None:
    """B4, 39 c: as it holds everybody, the worst moment; the others are slow."""
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(5)
        daemon.faults.arm(AtPoint(point="swap.before_commit_point", process="root", action=Kill()))
        root_dies(daemon, OTHER)
        assert commit_point(daemon)["path"] == "holdfast.db"
        senders.wait_for(5)
        daemon.until(lambda: is_recovered(daemon))
        record = last_swap(daemon)
        assert not record.ok
        assert "cut off" in record.error
        move(daemon, OTHER)
    check(data(daemon, "other.db"), senders)


def test_a_root_that_is_killed_after_the_commit_point_is_where_it_moved_to(
    daemon: ForkedDaemon,
) -> None:
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(5)
        daemon.faults.arm(AtPoint(point="swap.after_commit_point", process="root", action=Kill()))
        root_dies(daemon, OTHER)
        assert commit_point(daemon)["path"] == "other.db"
        senders.wait_for(5)
        daemon.until(lambda: is_recovered(daemon))
        record = last_swap(daemon)
        assert record.ok
        assert Path(record.old).exists()
        assert not data(daemon, "holdfast.db").exists()
    check(data(daemon, "other.db"), senders)


@pytest.mark.slow
def test_a_root_that_is_killed_at_any_point_of_a_swap_loses_nothing(daemon: ForkedDaemon) -> None:
    """Slow: some twenty starts, each with a look at all of it."""
    points = [("swap.before_phase", nth) for nth in range(1, 5)]
    points += [("swap.after_phase", nth) for nth in range(1, 5)]
    points += [("swap.before_hold", 1), ("swap.before_hold", 2)]
    points += [("swap.before_commit_point", 1), ("swap.after_commit_point", 1)]
    points += [("swap.before_release", 1), ("swap.before_history", 1), ("swap.after_history", 1)]
    texts = [OTHER, CONFIG]
    with Senders(daemon.run_dir) as senders:
        for point, nth in points:
            senders.wait_for(5)
            daemon.faults.arm(AtPoint(point=point, nth=nth, process="root", action=Kill()))
            root_dies(daemon, texts[0])
            daemon.until(lambda: is_recovered(daemon))
            if commit_point(daemon)["path"] in texts[0] or texts[0] == CONFIG:
                texts.reverse()
            with suppress(ReloadError):  # it is there already
                move(daemon, texts[1])
    check(data(daemon, commit_point(daemon)["path"]), senders)


@pytest.mark.slow  # some twenty seconds in which nothing else is to be seen
def test_a_writer_that_is_faster_than_the_copier_is_slowed_down_and_no_sender_sees_an_error(
    daemon: ForkedDaemon,
) -> None:
    """Each look of the copier takes half a second longer than it would."""
    daemon.faults.arm(
        AtPoint(point="copier.before_following", process="/copier", action=Delay(0.5), times=0)
    )
    made, enough = 0, threading.Event()

    def create() -> None:
        nonlocal made
        with holdfast.connect(daemon.run_dir) as hub:
            while not enough.is_set():
                hub.state.create_many(
                    ({"type": "t", "id": f"e{made + n}"} for n in range(100)), timeout=PATIENCE
                )
                made += 100

    with Senders(daemon.run_dir) as senders:
        thread = threading.Thread(target=create)
        daemon.faults.arm(
            AtPoint(point="copier.after_preparing", process="/copier", action=Delay(1.0))
        )
        daemon.until(lambda: senders.version > 5)
        thread.start()
        move(daemon, OTHER)
        enough.set()
        thread.join(PATIENCE)
        senders.wait_for(5)
    check(data(daemon, "other.db"), senders)
    assert daemon.hub.state.count(type="t") == made
    record = last_swap(daemon)
    assert (record.ok, record.verified) == (True, True)
    assert record.pause < 5.0
    assert "of its time: a copier follows" in daemon.log


@pytest.mark.parametrize("mode", ["empty", pytest.param("require-empty", marks=pytest.mark.slow)])
def test_what_is_not_to_be_copied_is_not(daemon: ForkedDaemon, mode: str) -> None:
    daemon.hub.state.create("agent", {}, id="a")
    text = configured(CONFIG, f'path = "other.db"\nmigrate = "{mode}"')
    if mode == "require-empty":
        assert 'migrate = "require-empty"' in str(refused(daemon, text))
        assert daemon.hub.state.get("a") is not None
        return
    with Senders(daemon.run_dir) as senders:
        senders.wait_for(2)
    move(daemon, text)
    assert daemon.hub.state.get("a") is None
    daemon.hub.state.create("agent", {}, id="b")
    assert daemon.hub.state.get("b") is not None
