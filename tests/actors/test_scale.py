"""Many senders on one actor, and many actors in a tree."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast import aio
from holdfast.actors.link import Link
from tests.actors.conversing import Wire, receiver
from tests.actors.measuring import private, processes
from tests.actors.sending import ROOT
from tests.daemon import CONFIG, TIMEOUT, Daemon

SENDERS = 200
EACH = 50  # messages of each
AGENTS = 64

AGENT = """
[agents.{name}]
class = "tests.actors.agents:Puppet"
python_path = ["{root}"]
"""


def config(*names: str) -> str:
    return CONFIG + "".join(AGENT.format(name=name, root=ROOT) for name in names)


def test_two_hundred_senders_reach_one_actor_each_in_its_order(tmp_path: Path) -> None:
    with Daemon(tmp_path, config("one")) as daemon:

        async def send(hub: aio.Hub, name: int) -> None:
            for n in range(EACH):
                await hub.ref("one").tell(["remember", [name, n]])

        async def main() -> None:
            async with AsyncExitStack() as stack:
                hubs = [
                    await stack.enter_async_context(aio.connect(daemon.run_dir))
                    for _ in range(SENDERS)
                ]
                await asyncio.gather(*(send(hub, name) for name, hub in enumerate(hubs)))
                await asyncio.gather(*(hub.flush(timeout=TIMEOUT) for hub in hubs))

        asyncio.run(main())
        seen: Any = daemon.hub.ref("one").ask(["recall", None], timeout=TIMEOUT)
        by_sender: dict[int, list[int]] = {name: [] for name in range(SENDERS)}
        for (name, n), redelivered in seen:
            assert not redelivered
            by_sender[name].append(n)
        assert by_sender == {name: list(range(EACH)) for name in range(SENDERS)}


@pytest.mark.parametrize("limit", [40, 1_000, 10_000])
def test_the_windows_of_two_hundred_senders_add_up_to_the_mailbox(limit: int) -> None:
    """Who finds no room left has a 64th of it all the same, or one message."""
    shared = receiver(mailbox_limit=limit)
    links = [Link(to="critic", sender=f"s{n}", incarnation="1") for n in range(SENDERS)]
    for link in links:
        for n in range(limit // 4 + 1):  # one more than a window ever is
            link.tell(n)
    wires = [Wire(link, shared) for link in links]
    waiting = [delivery for wire in wires for _ in range(3) for delivery in wire.move(1 << 24)]
    most = limit + SENDERS * max(1, limit // 64)
    assert limit <= len(waiting) <= most
    assert shared.granted <= most
    assert {delivery.sender for delivery in waiting} == {f"s{n}" for n in range(SENDERS)}


@pytest.mark.slow
def test_an_idle_connection_takes_little_memory_in_the_receiver(tmp_path: Path) -> None:
    """docs/DESIGN.md states the figure."""
    with Daemon(tmp_path, config("one")) as daemon, ExitStack() as stack:
        daemon.hub.ref("one").ask(["echo", 1], timeout=TIMEOUT)
        pids = processes(daemon)
        before = {name: private(pids[name]) for name in ("one", "log")}
        for n in range(SENDERS):
            hub = stack.enter_context(closing(holdfast.connect(daemon.run_dir)))
            assert hub.ref("one").ask(["echo", n], timeout=TIMEOUT) == n
            hub.events.emit("n", n)
            hub.flush(timeout=TIMEOUT)
        for name, bytes_then in before.items():
            each = (private(pids[name]) - bytes_then) / SENDERS
            print(f"{name}: {each / 1024:.1f} KiB a connection")
            assert each < 32 * 1024


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Daemon]:
    names = [f"a{n}" for n in range(AGENTS)]
    with Daemon(tmp_path, config(*names)) as daemon:
        yield daemon


@pytest.mark.slow  # sixty-four processes, twice
def test_a_tree_with_sixty_four_agents_survives_killing_all_of_them_at_once(many: Daemon) -> None:
    """That it stops without a trace is checked after every test."""
    names = [f"a{n}" for n in range(AGENTS)]

    def echoes() -> list[Any]:
        futures = [many.hub.ref(name).ask(["pid", None], block=False) for name in names]
        return [future.get(timeout=TIMEOUT) for future in futures]

    first = echoes()
    assert len(set(first)) == AGENTS
    pids = processes(many)
    assert [pids[name] for name in names] == first
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    many.until(lambda: all(many.child(name).restarts == 1 for name in names))
    second = echoes()
    assert len({*first, *second}) == 2 * AGENTS
    assert many.stop() == 0
