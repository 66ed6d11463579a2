"""Operating on the children of a running daemon: from a program, from asyncio, from a shell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import aio
from holdfast.actors.messages.supervisor import Report
from holdfast.errors import (
    ActorGone,
    AskTimeoutError,
    ChildError,
    ConfigError,
    InvalidInputError,
    StartError,
    UnknownActorError,
)
from tests.actors.test_agents import ROOT, config
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import Run
from tests.holdfast.programs import run as run_program

PUPPET: dict[str, Any] = {"class": "tests.actors.agents:Puppet", "python_path": [str(ROOT)]}
TEMPORARY = config("one", more='restart = "temporary"')


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, config("one")) as daemon:
        yield daemon


def names(daemon: Daemon, supervisor: str = "agents") -> list[str]:
    return [child.id for child in daemon.hub.supervision.which_children(supervisor)]


def puppet(daemon: Daemon, name: str, *message: Any) -> Any:
    return daemon.hub.ref(name).ask(list(message), timeout=TIMEOUT)


def test_a_child_that_is_added_answers_and_lasts_as_long_as_its_supervisor(daemon: Daemon) -> None:
    supervision = daemon.hub.supervision
    status = supervision.start_child("two", PUPPET)
    assert (status.id, status.state, status.incarnation) == ("two", "running", 1)
    assert puppet(daemon, "two", "echo", 7) == 7
    assert puppet(daemon, "one", "ask", ["two", ["echo", 8], TIMEOUT]) == 8
    assert daemon.hub.ref("two").state().pid == status.pid
    daemon.kill("two")
    assert daemon.wait_for_another("two", status.pid or 0).incarnation == 2
    assert names(daemon) == ["one", "two"]
    agents = daemon.pid("agents")
    daemon.kill("agents")
    daemon.wait_for_another("agents", agents)
    assert names(daemon) == ["one"]
    with pytest.raises(UnknownActorError):
        daemon.hub.ref("two").state()


def test_a_child_below_an_added_supervisor_is_found_by_name(daemon: Daemon) -> None:
    supervision = daemon.hub.supervision
    supervision.start_child("crew", {"strategy": "one_for_all"}, kind="supervisor")
    supervision.start_child("two", PUPPET, supervisor="crew")
    with daemon.hub.monitor("two") as monitor:
        daemon.kill("crew")
        assert monitor.wait(TIMEOUT).reason.kind in ("supervisor_lost", "noconnection")
    assert daemon.until(
        lambda: daemon.child("crew").state == "running" and names(daemon, "crew") == []
    )


def test_what_is_sent_to_a_stopped_child_waits_until_it_is_started_again(daemon: Daemon) -> None:
    supervision = daemon.hub.supervision
    stopped = supervision.terminate_child("one")
    assert (stopped.state, stopped.pid) == ("stopped", None)
    daemon.hub.ref("one").tell(["append", 1])
    with pytest.raises(AskTimeoutError):
        daemon.hub.ref("one").ask(["echo", 1], timeout=0.1)
    started = supervision.restart_child("one")
    assert (started.state, started.incarnation) == ("running", 2)
    daemon.hub.flush()
    assert puppet(daemon, "one", "echo", 2) == 2


def test_every_refusal_says_what_to_do_and_changes_nothing(daemon: Daemon) -> None:
    supervision = daemon.hub.supervision
    before = daemon.child("one").pid
    calls: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: supervision.start_child("one", PUPPET), "already_started"),
        (lambda: supervision.restart_child("one"), "running"),
        (lambda: supervision.delete_child("one"), "running"),
        (lambda: supervision.start_child("one", PUPPET, supervisor="root"), "name_taken"),
    )
    for call, reason in calls:
        with pytest.raises(ChildError) as error:
            call()
        assert (error.value.child, error.value.reason) == ("one", reason)
    with pytest.raises(UnknownActorError, match="no supervisor has a child 'nobody'"):
        supervision.terminate_child("nobody")
    with pytest.raises(ConfigError, match=r"start_child 'x': \[agents.x\] klass = 1: unknown key"):
        supervision.start_child("x", {"klass": 1})
    with pytest.raises(ConfigError, match="its parent is the supervisor that is asked"):
        supervision.start_child("x", PUPPET | {"parent": "root"})
    with pytest.raises(InvalidInputError, match="expected a dict"):
        supervision.start_child("x", "tests.actors.agents:Puppet")  # type: ignore[arg-type]  # the point
    with pytest.raises(StartError, match="cannot be imported"):
        supervision.start_child("x", PUPPET | {"class": "tests.actors.agents:Nobody"})
    assert (names(daemon), daemon.child("one").pid) == (["one"], before)


def test_a_deleted_child_is_gone_and_may_come_back_under_its_name(daemon: Daemon) -> None:
    supervision = daemon.hub.supervision
    supervision.terminate_child("one")
    with pytest.raises(ChildError) as error:
        supervision.start_child("one", PUPPET)
    assert error.value.reason == "already_present"
    supervision.delete_child("one")
    assert names(daemon) == []
    with pytest.raises(ActorGone, match="deleted"):
        puppet(daemon, "one", "echo", 1)
    supervision.start_child("one", PUPPET)
    assert puppet(daemon, "one", "echo", 1) == 1


def test_reports_come_in_order_and_as_soon_as_there_are_any(daemon: Daemon) -> None:
    supervision = daemon.hub.supervision
    (first,) = supervision.reports("agents")
    assert (first.number, first.kind, first.child) == (1, "progress", "one")
    with pytest.raises(AskTimeoutError):
        supervision.reports("agents", after=1, timeout=0.1)
    pid = daemon.kill("one")
    seen: list[Report] = []
    while len(seen) < 2:
        seen += supervision.reports("agents", after=1 + len(seen), timeout=TIMEOUT)
    assert [(each.number, each.kind) for each in seen] == [(2, "child_terminated"), (3, "progress")]
    assert seen[0].data["pid"] == pid
    assert seen[0].data["exit"]["signal"] == 9


def test_a_coroutine_does_the_same(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        await hub.supervision.start_child("two", PUPPET)
        assert (await hub.supervision.count_children("agents")).active == 2
        following = asyncio.create_task(hub.supervision.reports("agents", after=2))
        await hub.supervision.terminate_child("two")
        await hub.supervision.restart_child("two")
        assert [report.kind for report in await following][:1] == ["progress"]
        await hub.supervision.terminate_child("two")
        await hub.supervision.delete_child("two")
        children = await hub.supervision.which_children("agents")
        assert [child.id for child in children] == ["one"]

    run_program(daemon, program)


def test_one_child_is_stopped_started_and_restarted_from_a_shell(daemon: Daemon, run: Run) -> None:
    pid = daemon.pid("one")
    done = run("restart", "one", "--json")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert shown["restarted"] is True
    assert shown["pid"] == daemon.pid("one") != pid
    assert run("stop", "one").stdout.startswith("stopped one in ")
    assert daemon.child("one").state == "stopped"
    assert run("restart", "one").returncode == 0  # one that is down is started
    assert run("stop", "state").returncode == 0
    assert daemon.child("state").children == []
    assert run("start", "state").stdout.startswith("started state pid=")
    assert daemon.child("writer").state == "running"


def test_a_shell_is_told_why_a_child_cannot_be_had(daemon: Daemon, run: Run) -> None:
    for arguments, said in (
        (("start", "one"), "'one' runs already: `holdfast restart one` starts it anew"),
        (("stop", "on"), "no child 'on'; did you mean one?"),
        (("restart", "root"), "the root is the daemon itself"),
        (("start", "one", "--data-dir", "x"), "--data-dir is of no use with a CHILD"),
    ):
        done = run(*arguments)
        assert said in done.stderr, done
        assert done.returncode == (2 if "--data-dir" in arguments else 1)
    assert run("start", "one.toml").returncode == 3
    assert daemon.child("one").incarnation == 1


def test_a_restart_of_a_temporary_child_is_refused_before_it_is_stopped(
    tmp_path: Path, run: Run
) -> None:
    with Daemon(tmp_path, TEMPORARY) as daemon:
        done = run("restart", "one")
        assert done.returncode == 1
        assert "'one' is temporary" in done.stderr
        assert daemon.child("one").state == "running"
