"""Waiting for the next event: after a point, in order, each once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing import Daemon
from tests.daemon import ForkedDaemon
from tests.testing.agents import Clerk


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with ForkedDaemon(tmp_path, agents={"clerk": Clerk}) as daemon:
        yield daemon


def test_a_death_and_a_restart_are_the_next_events(daemon: Daemon) -> None:
    pid = daemon.kill("clerk")
    assert daemon.next_event("supervisor:child_terminated", subject="clerk").data["pid"] == pid
    assert daemon.next_event("supervisor:progress", subject="clerk").data["restarts"] == 1


def test_the_reports_of_the_start_are_left_out(daemon: Daemon) -> None:
    """They may be committed after the daemon is ready; what agents emit as they start is not."""
    assert daemon.next_event("clerk:ready").data == {"taken": 0}
    for restarts in (1, 2):
        daemon.kill("clerk")
        event = daemon.next_event("supervisor:progress")  # whoever's
        assert (event.subject, event.data["restarts"]) == ("clerk", restarts)
    daemon.restart()
    daemon.kill("query")
    assert daemon.next_event("supervisor:progress").subject == "query"


def test_events_come_in_order_and_once_and_what_does_not_match_stays(daemon: Daemon) -> None:
    for n in range(3):
        daemon.ref("clerk").ask(["take", f"o{n}"])
        daemon.ref("clerk").ask(["refuse", f"o{n}"])
    assert daemon.next_event("order:refused", session="o1").session == "o1"
    taken = [daemon.next_event("order:taken") for _ in range(3)]
    assert [event.session for event in taken] == ["o0", "o1", "o2"]
    left = [daemon.next_event(["order:*", "other"]).session for _ in range(2)]
    assert left == ["o0", "o2"]
    with pytest.raises(AssertionError):
        daemon.next_event("order:*", timeout=0.1)


def test_an_event_is_waited_for(daemon: Daemon) -> None:
    """Its log and its writer are dead when it is emitted."""
    with daemon.watching("order:*") as seen:
        daemon.ref("clerk").tell(["refuse", "before"])
        assert seen.next().session == "before"
        daemon.kill("writer")
        daemon.ref("clerk").tell(["refuse", "meanwhile"])
        daemon.kill("log")
        assert seen.next(session="meanwhile", timeout=20.0).type == "order:refused"


def test_an_event_that_is_there_takes_no_time(daemon: Daemon) -> None:
    daemon.hub.events.emit("test:one", "not what reports have")
    daemon.hub.events.emit("supervisor:progress", "not what reports have")
    daemon.hub.flush()
    assert daemon.next_event("test:*", timeout=0).type == "test:one"
    assert daemon.next_event(source="test", timeout=0).type == "supervisor:progress"
    with pytest.raises(AssertionError):
        daemon.next_event("test:*", timeout=0)


def test_an_event_that_nobody_can_tell_of_is_missing_on_time(daemon: Daemon) -> None:
    with daemon.paused("log"), pytest.raises(AssertionError, match="no event 'order:taken'"):
        daemon.next_event("order:taken", timeout=0.3)
    daemon.ref("clerk").ask(["take", "o1"])
    assert daemon.next_event("order:taken").session == "o1"


def test_a_watch_begins_after_what_was_emitted_before_and_ends_with_its_block(
    daemon: Daemon,
) -> None:
    for n in range(100):
        daemon.hub.events.emit("test:before", n)
    with daemon.watching("test:*") as seen:
        daemon.hub.events.emit("test:inside", 1)
        daemon.hub.events.emit("other:inside", 2)
    daemon.hub.events.emit("test:after", 3)
    daemon.hub.flush()
    assert [event.type for event in seen.so_far()] == ["test:inside"]
    assert seen.next().type == "test:inside"
    with pytest.raises(AssertionError, match="before the end of the block"):
        seen.next("test:after")


def test_what_came_so_far_stays_to_be_handed_out(daemon: Daemon) -> None:
    seen = daemon.watching(source="test")
    daemon.hub.events.emit("test:one", session="s", subject="a")
    daemon.hub.events.emit("test:two", session="s", subject="b")
    assert [event.subject for event in seen.so_far("test:*", session="s")] == ["a", "b"]
    assert seen.so_far("test:three") == []
    assert seen.next(subject="b").type == "test:two"
    assert [event.type for event in seen.so_far()] == ["test:one"]


def test_events_of_an_earlier_daemon_in_the_folder_are_not_of_this_test(tmp_path: Path) -> None:
    with ForkedDaemon(tmp_path, agents={"clerk": Clerk}) as daemon:
        daemon.ref("clerk").ask(["take", "old"])
    with ForkedDaemon(tmp_path, agents={"clerk": Clerk}) as daemon:
        assert daemon.next_event("clerk:*").data == {"taken": 1}
        daemon.ref("clerk").ask(["take", "new"])
        assert daemon.next_event("order:taken").session == "new"


def test_a_missing_event_is_told_with_what_came_and_the_log(daemon: Daemon) -> None:
    daemon.ref("clerk").ask(["take", "o1"])
    with pytest.raises(AssertionError) as error:
        daemon.next_event("order:paid", session="o1", timeout=0.1)
    told = str(error.value)
    assert told.startswith("no event 'order:paid' session='o1' within 0.1 s")
    assert "order:taken agent/clerk subject=o1 session=o1 {'n': 1}" in told
    assert "clerk is ready: pid" in told
