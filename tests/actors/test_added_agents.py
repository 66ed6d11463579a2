"""Agents that messages add are like any other to whoever sends, asks or monitors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.actors.messages.supervisor import (
    DeleteChild,
    RestartChild,
    StartChild,
    TerminateChild,
)
from holdfast.errors import ActorGone, ChildError, StartError
from tests.actors.test_agents import ROOT
from tests.daemon import CONFIG, TIMEOUT, Daemon

TABLE: dict[str, Any] = {"class": "tests.actors.agents:Puppet", "python_path": [str(ROOT)]}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG) as daemon:
        yield daemon


def test_an_added_agent_is_found_told_and_monitored(daemon: Daemon) -> None:
    hub = daemon.hub
    hub.ask("agents", StartChild("team", {}, kind="supervisor"), timeout=TIMEOUT)
    hub.ask("team", StartChild("new", TABLE), timeout=TIMEOUT)
    assert hub.ref("new").ask(["echo", 1], timeout=TIMEOUT) == 1
    assert hub.ref("new").state(timeout=TIMEOUT).state == "running"
    with hub.monitor("new") as monitor:
        hub.ask("team", TerminateChild("new"), timeout=TIMEOUT)
        assert monitor.wait(TIMEOUT).reason.code == 0
    # What is sent to it now waits.
    answer = hub.ref("new").ask(["recall", None], block=False)
    hub.ref("new").tell(["remember", "late"])
    hub.ask("team", RestartChild("new"), timeout=TIMEOUT)
    assert answer.get(timeout=TIMEOUT) == []
    assert hub.ref("new").ask(["recall", None], timeout=TIMEOUT) == [["late", False]]
    hub.ask("team", TerminateChild("new"), timeout=TIMEOUT)
    hub.ask("team", DeleteChild("new"), timeout=TIMEOUT)
    with pytest.raises(ActorGone, match="deleted"):
        hub.ref("new").ask(["echo", 1], timeout=TIMEOUT)


def test_refusals_have_their_types_at_a_client(daemon: Daemon) -> None:
    hub = daemon.hub
    with pytest.raises(ChildError, match="is no child here") as refused:
        hub.ask("agents", RestartChild("nobody"), timeout=TIMEOUT)
    assert (refused.value.child, refused.value.reason) == ("nobody", "not_found")
    late = TABLE | {"options": {"hang_when": "/"}, "start_timeout": 0.2}
    with pytest.raises(StartError, match="start_timeout"):
        hub.ask("agents", StartChild("late", late), timeout=TIMEOUT)


def test_an_agent_that_is_added_again_after_a_kill_loses_no_events(daemon: Daemon) -> None:
    """A life of it that had the number of an earlier one would be taken for that one."""
    hub = daemon.hub
    hub.ask("agents", StartChild("again", TABLE), timeout=TIMEOUT)
    for n in range(2):
        hub.ref("again").ask(["checkpoint", n], timeout=TIMEOUT)
    daemon.kill("again")
    hub.ref("again").ask(["checkpoint", 2], timeout=TIMEOUT, idempotent=True)
    hub.ask("agents", TerminateChild("again"), timeout=TIMEOUT)
    hub.ask("agents", DeleteChild("again"), timeout=TIMEOUT)
    hub.ask("agents", StartChild("again", TABLE), timeout=TIMEOUT)
    for n in range(3, 6):
        hub.ref("again").ask(["checkpoint", n], timeout=TIMEOUT)
    found = hub.events.query(types=["before:checkpoint"])
    assert [event.data for event in found] == list(range(6))
