"""How the calls of a hub show themselves: written once, they look like ordinary methods."""

from __future__ import annotations

import inspect

import pytest

from holdfast.actors.calls import Ask, Command, Drain, Now, flush
from holdfast.actors.hub import Hub
from holdfast.actors.hub_events import HubEvents
from holdfast.actors.hub_state import HubCheckpoints, HubSessions
from holdfast.actors.messages.sessions import Put, Versioned
from holdfast.actors.messages.writer import Sync
from holdfast.actors.session_calls import put_session
from holdfast.aio import Events, Sessions
from holdfast.errors import DiskFullError, InvalidInputError


def test_a_method_shows_its_arguments_and_what_it_returns() -> None:
    assert str(inspect.signature(HubSessions.get)) == (
        "(self, /, id: 'str', *, timeout: 'float' = 30.0) -> 'Session | None'"
    )
    assert inspect.signature(HubCheckpoints.list).return_annotation == "list[Checkpoint]"
    assert inspect.signature(Sessions.get) == inspect.signature(HubSessions.get)
    assert inspect.signature(Events.query) == inspect.signature(HubEvents.query)
    assert (Hub.flush.__doc__ or "").startswith("Wait until everything this hub sent before")


def test_a_flush_to_disk_drains_first_and_syncs_in_the_time_that_is_left() -> None:
    steps = flush("disk", timeout=3.0)
    drain = next(steps)
    assert isinstance(drain, Drain)
    assert drain.timeout == 3.0
    sync = steps.send(2.5)
    assert isinstance(sync, Ask)
    assert (sync.to, sync.timeout) == ("writer", 2.5)
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    assert end.value.value == "disk"


def test_a_session_on_disk_is_committed_then_synced_in_the_time_that_is_left() -> None:
    steps = put_session("s", 1, durability="disk", timeout=3.0)
    assert isinstance(next(steps), Now)
    command = steps.send(10.0)
    assert isinstance(command, Command)
    assert isinstance(command.message, Put)
    assert (command.to, command.message.durability) == ("sessions", "committed")
    assert isinstance(steps.send(Versioned("v1")), Now)
    sync = steps.send(11.0)
    assert isinstance(sync, Ask)
    assert (sync.to, sync.message, sync.timeout) == ("writer", Sync(), 2.0)
    with pytest.raises(StopIteration) as end:
        steps.send(None)
    assert end.value.value == "v1"


def test_a_session_whose_sync_fails_is_not_acknowledged() -> None:
    steps = put_session("s", 1, durability="disk")
    for value in (None, 10.0, Versioned("v1"), 11.0):
        steps.send(value)
    with pytest.raises(DiskFullError):
        steps.throw(DiskFullError("no room"))


def test_an_unknown_level_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidInputError, match="expected memory, committed or disk"):
        next(flush("tape"))  # type: ignore[arg-type]  # what a program without types may pass
    with pytest.raises(InvalidInputError, match="expected memory, committed or disk"):
        next(put_session("s", 1, durability="tape"))  # type: ignore[arg-type]  # likewise
