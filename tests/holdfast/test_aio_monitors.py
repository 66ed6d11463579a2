"""Monitors and ``state()`` in asyncio programs, with a real daemon whose actors are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import aio
from holdfast.errors import AskTimeoutError, HoldfastError, UnknownActorError
from tests.actors.test_agents import config
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.programs import kill, run
from tests.lending import lending

shared, daemon = lending(config("one"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """For a test that ends it."""
    with Daemon(tmp_path, config("one")) as daemon:
        yield daemon


def test_a_down_is_awaited_by_any_number_of_tasks(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        monitor = await hub.monitor("one")
        assert (monitor.is_alive, monitor.down) == (True, None)
        waiting = [asyncio.create_task(monitor.wait(TIMEOUT)) for _ in range(10)]
        cancelled = asyncio.create_task(monitor.wait())
        await asyncio.wait([cancelled], timeout=0.01)
        cancelled.cancel()
        await kill(daemon, "one")
        downs = await asyncio.gather(*waiting)
        assert set(map(id, downs)) == {id(monitor.down)}
        assert (downs[0].name, downs[0].reason.signal) == ("one", 9)
        assert downs[0].incarnation == monitor.incarnation
        assert await monitor.wait() is monitor.down

    run(daemon, program)


def test_a_thousand_monitors_get_one_down_each(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        one = hub.ref("one")
        monitors = await asyncio.gather(*(one.monitor() for _ in range(1_000)))
        await kill(daemon, "one")
        downs = await asyncio.gather(*(monitor.wait(TIMEOUT) for monitor in monitors))
        assert [down.monitor for down in downs] == [monitor.id for monitor in monitors]
        assert len({down.monitor for down in downs}) == 1_000
        assert {down.reason.signal for down in downs} == {9}

    run(daemon, program)


def test_who_is_not_there_is_down_at_once(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        down = await (await hub.monitor("nobody")).wait(0.0)
        assert (down.incarnation, down.reason.kind) == ("", "noproc")

    run(daemon, program)


def test_after_cancel_no_down_comes(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        kept = await hub.monitor("one")
        with await hub.monitor("one") as cancelled:
            waiting = asyncio.create_task(cancelled.wait(TIMEOUT))
            await asyncio.wait([waiting], timeout=0.01)
        with pytest.raises(HoldfastError, match="is cancelled"):
            await waiting
        await kill(daemon, "one")
        await kept.wait(TIMEOUT)
        assert (cancelled.down, cancelled.is_alive) == (None, False)

    run(daemon, program)


def test_a_wait_ends_on_time_and_the_monitor_watches_on(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        monitor = await hub.ref("one").monitor()
        with pytest.raises(AskTimeoutError) as late:
            await monitor.wait(0.05)
        assert isinstance(late.value, TimeoutError)
        await kill(daemon, "one")
        assert (await monitor.wait(TIMEOUT)).reason.kind == "signal"

    run(daemon, program)


def test_a_lost_supervisor_and_a_lost_daemon_are_told(own: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        monitor = await hub.monitor("one")
        await kill(own, "agents")
        assert (await monitor.wait(TIMEOUT)).reason.kind == "supervisor_lost"
        monitors = [await hub.monitor(name) for name in ("one", "root")]
        own.process.kill()
        for monitor in monitors:
            assert (await monitor.wait(TIMEOUT)).reason.kind == "noconnection"
        await asyncio.to_thread(own.restart)
        assert (await hub.monitor("one")).is_alive

    run(own, program)


def test_a_closed_hub_ends_who_waits(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        async with aio.connect(daemon.run_dir) as other:
            monitor = await other.monitor("one")
            waiting = asyncio.create_task(monitor.wait())
            await asyncio.wait([waiting], timeout=0.01)
        with pytest.raises(HoldfastError, match="closed"):
            await waiting
        monitor.cancel()

    run(daemon, program)


def test_state_is_what_the_synchronous_hub_says(daemon: Daemon) -> None:
    async def program(hub: aio.Hub) -> None:
        state = await hub.ref("one").state()
        assert (state.id, state.state, state.restarts) == ("one", "running", state.incarnation - 1)
        assert state.pid == daemon.pid("one")
        assert (await hub.ref("root").state()).id == "root"
        with pytest.raises(UnknownActorError, match="'nobody'"):
            await hub.ref("nobody").state()

    run(daemon, program)
