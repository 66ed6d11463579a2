"""The asyncio client with a real daemon whose actors are killed on the way."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pykka
import pytest

import holdfast
from holdfast import aio
from holdfast.actors.messages import sessions
from holdfast.errors import (
    ActorDied,
    AskTimeoutError,
    Conflict,
    DaemonNotFoundError,
    InvalidInputError,
    RemoteError,
)
from tests.actors.test_agents import config
from tests.actors.test_delivery import numbers
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.programs import kill, run
from tests.lending import lending

shared, daemon = lending(config("one"), "one")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """For a test that ends it."""
    with Daemon(tmp_path, config("one")) as daemon:
        yield daemon


# -- the same names, the same answers ----------------------------------------------------------


@pytest.mark.parametrize("part", ["", "events", "sessions", "cache", "checkpoints"])
def test_it_has_the_names_and_arguments_of_the_synchronous_hub(shared: Daemon, part: str) -> None:
    async def compare(hub: aio.Hub) -> None:
        mine = getattr(hub, part) if part else hub
        theirs = getattr(shared.hub, part) if part else shared.hub
        names = {name for name in dir(theirs) if not name.startswith("_")}
        assert names == {name for name in dir(mine) if not name.startswith("_")}
        for name in names:
            method = getattr(theirs, name)
            if inspect.ismethod(method):
                parameters = inspect.signature(method).parameters
                assert inspect.signature(getattr(mine, name)).parameters == parameters
                waits = name not in ("follow", "subscribe", "hold", "ref", "abandon", "counters")
                assert inspect.iscoroutinefunction(getattr(mine, name)) == waits

    run(shared, compare)
    assert (
        inspect.signature(aio.connect).parameters == inspect.signature(holdfast.connect).parameters
    )


def test_every_call_answers_as_its_synchronous_twin(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        await hub.events.emit("tool:call", {"command": "ls"}, session="s1", key="k1")
        await hub.events.emit("tool:result", 1, cause="k1")
        assert [await hub.flush(level) for level in ("memory", "committed", "disk")] == [
            "memory",
            "committed",
            "disk",
        ]
        assert (hub.events.accepted, hub.events.pending, hub.events.duplicates) == (2, 0, 0)
        (called,) = await hub.events.query(types="tool:call")
        (result,) = await hub.events.query(types="tool:result", reverse=True, limit=1)
        assert (called.data, called.source, called.session) == ({"command": "ls"}, "test", "s1")
        assert (result.cause, result.root, result.depth) == ("k1", "k1", 1)
        assert await hub.events.count(types=["tool:*"]) == 2
        assert await hub.events.tail(1) == daemon.hub.events.tail(1)

        version = await hub.sessions.put("s1", {"user": "ana"}, durability="committed")
        session = await hub.sessions.get("s1")
        assert session == daemon.hub.sessions.get("s1")
        assert session is not None
        assert session.version == version
        assert await hub.sessions.touch("s1") is not None
        assert await hub.sessions.delete("s1")
        assert await hub.sessions.get("s1") is None

        assert [await hub.checkpoints.put("planner", {"step": n}) for n in range(2)] == [1, 2]
        assert await hub.checkpoints.get("planner") == daemon.hub.checkpoints.get("planner")
        assert await hub.checkpoints.list("planner") == daemon.hub.checkpoints.list("planner")
        assert await hub.ask("sessions", sessions.Stats()) == daemon.hub.ask(
            "sessions", sessions.Stats()
        )

        one = hub.ref("one")
        await one.tell(["remember", 7])
        assert await one.ask(["recall", None], timeout=TIMEOUT) == [[7, False]]
        assert await one.stop(timeout=TIMEOUT) is True

    run(daemon, program)


def test_what_is_refused_is_raised_where_it_is_awaited(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        with pytest.raises(InvalidInputError, match="type"):
            await hub.events.emit("")
        with pytest.raises(InvalidInputError, match="limit"):
            await hub.events.query(limit=0)
        with pytest.raises(Conflict):
            await hub.sessions.put("s", 1, expected_version="x", durability="committed")
        with pytest.raises(InvalidInputError):
            await hub.checkpoints.put("", 1)
        with pytest.raises(RemoteError, match="ValueError: no good"):
            await hub.ref("one").ask(["raise", "no good"], timeout=TIMEOUT)
        assert await hub.checkpoints.put("a", 1) == 1

    run(daemon, program)


def test_connecting_to_nothing_says_so(tmp_path: Path) -> None:
    async def program() -> None:
        with pytest.raises(DaemonNotFoundError, match="start one with"):
            await aio.connect(tmp_path)
        with pytest.raises(DaemonNotFoundError, match="start one with"):
            async with aio.connect(tmp_path):
                raise AssertionError("entered")

    asyncio.run(program())


def test_a_hub_can_be_awaited_and_closed_without_a_block(daemon: Daemon) -> None:
    async def program() -> None:
        hub = await holdfast.aio.connect(daemon.run_dir, source="test")
        await hub.events.emit("n", 1)
        await hub.close()
        await hub.close()

    asyncio.run(program())
    assert numbers(daemon, "n") == [1]


# -- kills -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "victims",
    [
        pytest.param(["log"], marks=pytest.mark.slow),  # as of the synchronous hub, test_delivery
        pytest.param(["writer"], marks=pytest.mark.slow),
        ["log", "writer"],
        ["state"],
    ],
)
def test_events_of_several_tasks_are_committed_once_and_in_order_whoever_is_killed(
    daemon: Daemon, victims: list[str]
) -> None:
    async def program(hub: aio.Hub) -> None:
        async def emit(task: int) -> None:
            for n in range(1_000):
                await hub.events.emit(f"n{task}", n)
                if n % 250 == 125 * (task % 2):
                    await kill(daemon, *victims) if task == 0 else await hub.flush()

        async with asyncio.TaskGroup() as tasks:
            for task in range(4):
                tasks.create_task(emit(task))
        assert await hub.flush(timeout=TIMEOUT) == "committed"
        assert hub.events.pending == 0

    run(daemon, program)
    for task in range(4):
        assert numbers(daemon, f"n{task}") == list(range(1_000))


def test_commands_and_questions_go_on_across_kills(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        async def save(agent: str) -> list[int]:
            return [await hub.checkpoints.put(agent, n, timeout=TIMEOUT) for n in range(60)]

        async def look() -> None:
            for n in range(60):
                await hub.sessions.put("s", n, durability="committed", timeout=TIMEOUT)
                assert await hub.sessions.get("s", timeout=TIMEOUT) is not None

        async with asyncio.TaskGroup() as tasks:
            saves = [tasks.create_task(save(agent)) for agent in "xyz"]
            tasks.create_task(look())
            for name in ("checkpoints", "writer", "sessions", "checkpoints"):
                await kill(daemon, name)
        assert [save.result() for save in saves] == [list(range(1, 61))] * 3

    run(daemon, program)


def test_a_hub_outlives_the_whole_daemon(own: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        for n in range(500):
            await hub.events.emit("n", n)
            if n == 250:
                own.process.kill()
        await asyncio.to_thread(own.restart)
        await hub.flush(timeout=TIMEOUT)
        assert await hub.events.count(types="n", timeout=TIMEOUT) == 500

    run(own, program)
    assert numbers(own, "n") == list(range(500))


def test_an_ask_whose_actor_dies_fails_and_says_whether_it_was_started(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        waiting = asyncio.create_task(hub.ref("one").ask(["hang_once", str(daemon.folder / "h")]))
        await asyncio.to_thread(daemon.until, (daemon.folder / "h").exists)
        await kill(daemon, "one")
        with pytest.raises(pykka.ActorDeadError) as died:
            await waiting
        assert isinstance(died.value, ActorDied)
        assert died.value.started
        assert await hub.ref("one").ask(["echo", 1], timeout=TIMEOUT) == 1

    run(daemon, program)


def test_an_ask_that_does_not_wait_for_a_restart_fails_at_once(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        nobody = hub.ref("nobody")
        with pytest.raises(ActorDied) as died:
            await asyncio.wait_for(nobody.ask("what", on_restarting="fail"), TIMEOUT)
        assert not died.value.started
        one = hub.ref("one")
        assert await one.ask(["echo", 1], timeout=TIMEOUT, on_restarting="fail") == 1

    run(daemon, program)


# -- references ------------------------------------------------------------------------------


def test_references_travel_inside_messages(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")
        came = await one.ask(["echo", [one]], timeout=TIMEOUT)
        assert isinstance(came[0], aio.ActorRef)
        assert await came[0].ask(["echo", 7], timeout=TIMEOUT) == 7

    run(daemon, program)


def test_a_list_of_asks_is_answered_in_order(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")
        messages = [["echo", n] for n in range(100)]
        assert await one.ask_all(messages, timeout=TIMEOUT) == list(range(100))
        with pytest.raises(RemoteError, match="no good"):
            await one.ask_all([["echo", 1], ["raise", "no good"]], timeout=TIMEOUT)

    run(daemon, program)


def test_a_proxy_has_the_public_methods_of_an_agent(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = await hub.ref("one").proxy()
        assert await one.do_echo(7) == 7
        await one.do_remember.defer("x")
        seen = await one.do_recall(None)
        assert seen[0][0] == "x"
        with pytest.raises(AttributeError, match="no public attribute"):
            _ = one.nothing
        with pytest.raises(AttributeError, match="cannot be awaited"):
            one.value = 1
        with pytest.raises(RemoteError, match="no good"):
            await one.do_raise("no good")

    run(daemon, program)


# -- follow ------------------------------------------------------------------------------------


def test_follow_gives_every_event_once_and_in_order_across_kills(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        async def follow() -> list[int]:
            seen = []
            async for event in hub.events.follow(types="n", after=daemon.since, timeout=TIMEOUT):
                seen.append(event.data)
                if len(seen) == 3_000:
                    break
            return seen

        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow())
            for n in range(3_000):
                await hub.events.emit("n", n)
                if n % 1_000 == 500:
                    await kill(daemon, "log", "writer")
        assert following.result() == list(range(3_000))

    run(daemon, program)


def test_a_cancelled_step_of_follow_skips_nothing(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        following = hub.events.follow(types="n", after=daemon.since, timeout=TIMEOUT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(following), 0.05)
        for n in range(50):
            await hub.events.emit("n", n)
        seen: list[int] = []
        steps = 0
        while len(seen) < 50:
            steps += 1
            assert steps < 100_000
            step = asyncio.ensure_future(anext(following))
            asyncio.get_running_loop().call_later(0.0001 * (steps % 9), step.cancel)
            await asyncio.wait([step])
            if not step.cancelled():
                seen.append(step.result().data)
        assert seen == list(range(50))

    run(daemon, program)


def test_follow_begins_with_what_comes_when_it_is_not_told_where(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        await hub.events.emit("n", "before")
        await hub.flush()
        following = hub.events.follow(types="n")
        first = asyncio.create_task(anext(following))
        assert await asyncio.wait([first], timeout=0.05) == (set(), {first})
        await hub.events.emit("n", "after")
        assert (await first).data == "after"

    run(daemon, program)


# -- time --------------------------------------------------------------------------------------


def test_an_ask_that_times_out_does_so_on_time_and_its_late_reply_is_dropped(
    daemon: Daemon,
) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")
        began = time.monotonic()
        with pytest.raises(AskTimeoutError) as late:
            await one.ask(["wait", 0.4], timeout=0.1)  # it is answered 0.3 s later
        assert time.monotonic() - began >= 0.1
        assert isinstance(late.value, pykka.Timeout)
        assert isinstance(late.value, TimeoutError)
        assert await one.ask(["echo", "mine"], timeout=TIMEOUT) == "mine"

    run(daemon, program)


def test_each_of_many_asks_has_its_own_time(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")
        overdue: list[float] = []

        async def ask(timeout: float) -> None:
            began = time.monotonic()
            with pytest.raises(AskTimeoutError):
                await one.ask(["wait", 60], timeout=timeout)
            overdue.append(time.monotonic() - began - timeout)

        timeouts = [0.01 * n for n in range(40)]
        random.Random(7).shuffle(timeouts)
        async with asyncio.TaskGroup() as tasks:
            for timeout in timeouts:
                tasks.create_task(ask(timeout))
        assert len(overdue) == 40
        assert max(overdue) < 0.2
        await kill(daemon, "one")
        assert await one.ask(["echo", "lives"], timeout=TIMEOUT) == "lives"

    run(daemon, program)


def test_a_timeout_of_the_program_is_as_good(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await hub.ref("one").ask(["wait", 0.2])
        assert await hub.ref("one").ask(["echo", 1], timeout=TIMEOUT) == 1

    run(daemon, program)
