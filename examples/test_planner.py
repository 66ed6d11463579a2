"""Tests of an agent with ``holdfast.testing``: copy this to begin your own.

``pytest examples/test_planner.py`` runs it.
"""

from __future__ import annotations

import pytest

from examples.planner import Planner
from holdfast.testing import Daemon, StartDaemon

pytest_plugins = ["holdfast.testing.pytest_plugin"]  # or once, in conftest.py

STEPS = 5


@pytest.fixture
def daemon(holdfast_daemon: StartDaemon) -> Daemon:
    """A whole daemon of the test's own, with one agent."""
    return holdfast_daemon(agents={"planner": {"class": Planner, "options": {"steps": STEPS}}})


def test_a_goal_is_planned_step_by_step(daemon: Daemon) -> None:
    daemon.ref("planner").tell({"goal": "tea"})
    steps = [daemon.next_event("plan:step", session="tea").data["n"] for _ in range(STEPS)]
    assert steps == [1, 2, 3, 4, 5]
    assert daemon.next_event("plan:done").data == {"steps": STEPS}


def test_a_killed_planner_goes_on_where_it_was(daemon: Daemon) -> None:
    daemon.ref("planner").tell({"goal": "tea"})
    daemon.next_event("plan:step", where=lambda event: event.data["n"] == 2)
    daemon.kill("planner")
    daemon.next_event("supervisor:progress", subject="planner")
    daemon.next_event("plan:done", session="tea")
    stored = daemon.hub.events.query(types="plan:step", session="tea")
    assert [event.data["n"] for event in stored] == [1, 2, 3, 4, 5]  # none lost, none twice


def test_a_goal_that_is_told_to_a_dead_planner_is_not_lost(daemon: Daemon) -> None:
    daemon.kill("planner")
    daemon.ref("planner").tell({"goal": "tea"})
    assert daemon.next_event("plan:done").session == "tea"


def test_a_plan_outlives_the_whole_daemon(daemon: Daemon) -> None:
    daemon.ref("planner").tell({"goal": "tea"})
    daemon.next_event("plan:step")
    daemon.kill("root")
    daemon.restart()
    assert daemon.next_event("plan:done").session == "tea"
