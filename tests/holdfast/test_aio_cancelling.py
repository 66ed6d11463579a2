"""What cancelling, closing, forking and full outboxes do to the asyncio client: no harm."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from holdfast import aio
from holdfast.actors.outbox import Policy
from holdfast.errors import AskTimeoutError, HoldfastError, OutboxFullError
from tests.actors.test_agents import config
from tests.actors.test_delivery import numbers, rows
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.programs import kill, run
from tests.lending import lending

MEGABYTE = "x" * 1_000_000  # the outbox holds 64 MiB


shared, daemon = lending(config("one"), "one")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """For a test that ends it."""
    with Daemon(tmp_path, config("one")) as daemon:
        yield daemon


# -- cancelling --------------------------------------------------------------------------------


class Careless:
    """Does random things and cancels many of them; knows what must have come of it."""

    def __init__(self, hub: aio.Hub, name: str, chance: random.Random) -> None:
        self.hub = hub
        self.name = name
        self.chance = chance
        self.emitted: list[int] = []
        self.told: list[list[Any]] = []
        self.saved = 0  # checkpoints that were begun

    async def work(self, steps: int) -> None:
        for n in range(steps):
            one = self.hub.ref("one")
            self.saved += 1
            await self._maybe(self.hub.checkpoints.put(self.name, n, timeout=TIMEOUT))
            if not await self._maybe(self.hub.events.emit(self.name, n)):
                self.emitted.append(n)
            if not await self._maybe(one.tell(["remember", [self.name, n]])):
                self.told.append([self.name, n])
            await self._maybe(one.ask(["echo", n], timeout=TIMEOUT))
            await self._maybe(self.hub.sessions.get(self.name, timeout=TIMEOUT))
            await self._maybe(self.hub.events.count(types=self.name, timeout=TIMEOUT))
            await self._maybe(self.hub.flush(timeout=TIMEOUT))

    async def _maybe(self, doing: Coroutine[Any, Any, Any]) -> bool:
        """Do it, or begin it and give up after a moment; whether it was given up."""
        if self.chance.random() < 0.3:
            await doing
            return False
        try:
            async with asyncio.timeout(self.chance.choice((0, 0.0001, 0.001, 0.003))):
                await doing
        except TimeoutError:
            return True
        return False


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))]
)
def test_cancelled_awaits_lose_nothing_and_wedge_nothing(daemon: Daemon, seed: int) -> None:
    """Also while the actors are killed; tells to an agent that lives come once."""
    print(f"seed {seed}")
    chance = random.Random(seed)

    async def program(hub: aio.Hub) -> list[Careless]:
        tasks = [Careless(hub, f"seed{seed}:{n}", chance) for n in range(4)]
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task.work(60))
            for victim in ("log", "checkpoints", "writer", "sessions"):
                await kill(daemon, victim)
        assert await hub.flush(timeout=TIMEOUT) == "committed"
        assert await hub.checkpoints.put(f"last{seed}", 1, timeout=TIMEOUT) == 1
        seen = [value for value, _ in await hub.ref("one").ask(["recall", None], timeout=TIMEOUT)]
        for task in tasks:
            assert [value for value in seen if value[0] == task.name] == task.told
        return tasks

    for task in run(daemon, program):
        assert numbers(daemon, task.name) == task.emitted
        sql = "SELECT id FROM checkpoints WHERE agent = ? ORDER BY id"
        assert rows(daemon, sql, task.name) == [(n,) for n in range(1, task.saved + 1)]


def test_the_answer_to_a_cancelled_ask_is_dropped(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")
        one_waits = [["wait", 0.2], *(["echo", n] for n in range(20))]
        asks = [asyncio.create_task(one.ask(ask, timeout=TIMEOUT)) for ask in one_waits]
        assert await asyncio.wait(asks, timeout=0.05) == (set(), set(asks))
        for ask in asks[1::2]:
            ask.cancel()
        answers = await asyncio.gather(*asks, return_exceptions=True)
        kept = [answer for answer in answers if not isinstance(answer, asyncio.CancelledError)]
        assert kept == ["waited 0.2", *range(1, 20, 2)]
        assert await one.ask(["echo", "mine"], timeout=TIMEOUT) == "mine"

    run(daemon, program)


def test_a_command_whose_caller_is_cancelled_is_carried_out(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        pid = await asyncio.to_thread(daemon.pid, "writer")
        os.kill(pid, signal.SIGSTOP)
        saving = asyncio.create_task(hub.checkpoints.put("planner", 1, timeout=TIMEOUT))
        assert await asyncio.wait([saving], timeout=0.05) == (set(), {saving})
        saving.cancel()
        await asyncio.wait([saving])
        os.kill(pid, signal.SIGCONT)
        assert await hub.checkpoints.put("planner", 2, timeout=TIMEOUT) == 2

    run(daemon, program)


def test_a_task_group_that_fails_leaves_the_hub_usable(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")

        async def group() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(one.ask(["wait", 0.3], timeout=TIMEOUT))
                tasks.create_task(one.ask(["echo", 1], timeout=0.05))

        with pytest.raises(ExceptionGroup) as failed:
            await group()
        assert isinstance(failed.value.exceptions[0], AskTimeoutError)
        assert await one.ask(["echo", 2], timeout=TIMEOUT) == 2

    run(daemon, program)


# -- bounds ------------------------------------------------------------------------------------


def test_a_full_outbox_makes_emit_wait_and_a_cancelled_wait_has_queued_nothing(
    daemon: Daemon,
) -> None:
    async def program(hub: aio.Hub) -> None:
        pid = await asyncio.to_thread(daemon.pid, "log")
        os.kill(pid, signal.SIGSTOP)

        async def fill() -> None:
            for _ in range(100):
                await hub.events.emit("large", MEGABYTE, timeout=0.2)

        with pytest.raises(OutboxFullError, match="is the daemon running"):
            await fill()
        n = hub.events.accepted
        assert 60 < n < 100
        waiting = asyncio.create_task(hub.events.emit("large", MEGABYTE, timeout=TIMEOUT))
        cancelled = asyncio.create_task(hub.events.emit("large", "cancelled", timeout=TIMEOUT))
        assert await asyncio.wait([waiting, cancelled], timeout=0.05) == (
            set(),
            {waiting, cancelled},
        )
        cancelled.cancel()
        await asyncio.wait([cancelled])
        os.kill(pid, signal.SIGCONT)
        await waiting
        await hub.flush(timeout=TIMEOUT)
        assert await hub.events.count(types="large") == hub.events.accepted == n + 1

    run(daemon, program)


@pytest.mark.parametrize(("policy", "dropped", "rejected"), [("fail", 0, 1), ("ring_only", 900, 0)])
def test_the_policies_of_a_full_outbox_do_not_wait(
    daemon: Daemon, policy: Policy, dropped: int, rejected: int
) -> None:
    async def program() -> None:
        limited = aio.connect(daemon.run_dir, outbox_messages=100, outbox_policy=policy)
        async with limited as hub:
            pid = await asyncio.to_thread(daemon.pid, "writer")
            os.kill(pid, signal.SIGSTOP)
            with suppress(OutboxFullError):
                for n in range(1_000):
                    await hub.events.emit("n", n)
            os.kill(pid, signal.SIGCONT)
            await hub.flush(timeout=TIMEOUT)
            assert (hub.events.dropped, hub.events.rejected) == (dropped, rejected)

    asyncio.run(program())
    assert numbers(daemon, "n") == list(range(100))


def test_a_task_that_emits_without_end_lets_others_run(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            ticks += 1
            asyncio.get_running_loop().call_soon(tick)

        tick()
        for n in range(10_000):
            await hub.events.emit("n", n)
        assert ticks >= 10

    run(daemon, program)


def test_many_asks_at_once_are_answered_each_with_its_own(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")
        asks = [one.ask(["echo", n], timeout=TIMEOUT) for n in range(2_000)]
        assert await asyncio.gather(*asks) == list(range(2_000))

    run(daemon, program)


# -- leaving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", [None, KeyError("x"), asyncio.CancelledError()])
def test_leaving_the_block_commits_what_was_emitted(
    daemon: Daemon, leave: BaseException | None
) -> None:
    async def program(hub: aio.Hub) -> None:
        for n in range(1_000):
            await hub.events.emit("n", n)
        if leave is not None:
            raise leave

    if leave is None:
        run(daemon, program)
    else:
        with pytest.raises(type(leave)):
            run(daemon, program)
    assert numbers(daemon, "n") == list(range(1_000))


def test_leaving_by_an_exception_does_not_wait_for_a_daemon_that_is_gone(own: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        own.process.kill()
        own.process.wait(TIMEOUT)
        await hub.events.emit("n", 1)
        raise KeyError("x")

    began = time.monotonic()
    with pytest.raises(KeyError):
        run(own, program)
    assert time.monotonic() - began < 5.0
    own.restart()  # it takes away what the killed one left


def test_closing_says_what_was_not_acknowledged(daemon: Daemon) -> None:
    async def program() -> None:
        hub = await aio.connect(daemon.run_dir)
        await hub.ref("nobody").tell("lost")
        with pytest.raises(AskTimeoutError, match="1 to 'nobody'"):
            await hub.close(timeout=0.1)
        with pytest.raises(HoldfastError, match="closed"):
            await hub.events.emit("n", 1)

    asyncio.run(program())


def test_closing_ends_every_call_that_waits(daemon: Daemon) -> None:
    async def program() -> None:
        hub = await aio.connect(daemon.run_dir)
        following = hub.events.follow(types="never")
        waiting = [
            asyncio.create_task(hub.ref("one").ask(["wait", 0.2])),
            asyncio.create_task(hub.ref("nobody").ask("what")),
            asyncio.ensure_future(anext(following)),
        ]
        await asyncio.wait(waiting, timeout=0.05)
        hub.abandon()
        outcomes = await asyncio.wait_for(
            asyncio.gather(*waiting, return_exceptions=True), timeout=TIMEOUT
        )
        assert all("closed" in str(outcome) for outcome in outcomes)

    asyncio.run(program())


# -- where it belongs --------------------------------------------------------------------------


def test_another_loop_is_refused(daemon: Daemon) -> None:
    with asyncio.Runner() as first, asyncio.Runner() as second:

        async def open_hub() -> aio.Hub:
            return await aio.connect(daemon.run_dir)

        hub = first.run(open_hub())
        for call in (hub.events.emit("n", 1), hub.flush(), hub.ref("one").tell(1), hub.close()):
            with pytest.raises(HoldfastError, match="another event loop"):
                second.run(call)
        first.run(hub.close())


def test_a_fork_is_refused_and_leaves_its_parent_alone(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        await hub.events.emit("n", 1)
        pid = os.fork()
        if pid == 0:
            refused = 0
            for call in (hub.events.emit("n", 2), hub.flush(), hub.sessions.get("s")):
                try:
                    call.send(None)
                except HoldfastError as error:
                    refused += "belongs to process" in str(error)
            hub.abandon()
            os._exit(0 if refused == 3 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        await hub.events.emit("n", 3)
        assert await hub.flush(timeout=TIMEOUT) == "committed"

    run(daemon, program)
    assert numbers(daemon, "n") == [1, 3]
