"""Other actor libraries beside ours: tells of 1 KB, the round trip of an ask, a restart.

``floor`` is the peer.  Those that are not installed are left out: ``./run bench peers`` installs
the extra.  One is measured after the other, since Ray's processes work also when nobody asks.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from typing import Final

import msgspec

import holdfast
from benchmarks.ask import PAYLOAD
from benchmarks.daemon import running_daemon
from benchmarks.driven import Driven, driven
from benchmarks.kills import Killer, judged
from benchmarks.material import MESSAGE
from benchmarks.measure import (
    Budget,
    CpuMeter,
    Figure,
    Round,
    compare,
    interleave,
    timed,
)
from benchmarks.tell import from_program

__all__ = ["run"]

ASKS: Final = 200  # a round, of ours and of theirs


class Peer(msgspec.Struct, frozen=True):
    """A library: how it shows, how many tells make a round of 50 to 300 ms, what to reach.

    ``tells`` are the commands of its driver, with what they show as.  ``restarts``: an actor of
    its own process can be killed alone.
    """

    name: str
    title: str
    count: int
    tells: dict[str, str]
    least_tell: float | None = None
    most_ask: float | None = None
    restarts: bool = True


PEERS: Final = (
    Peer("pykka", "pykka in process", 16_384, {"tell": ""}, most_ask=1.0, restarts=False),
    Peer("xoscar", "xoscar", 1_024, {"tell": "", "batched": ", 64 a batch"}, least_tell=30.0),
    Peer("thespian", "Thespian", 256, {"tell": ""}),
    Peer("ray", "Ray", 512, {"tell": ""}),
)


def run(budget: Budget) -> list[Figure]:
    """Ours from a program to an agent; two processes each, but for pykka."""
    figures = []
    with running_daemon({"echo": "agents:Echo"}) as daemon, daemon.connect() as hub:
        killer = Killer(daemon, hub, "echo", PAYLOAD)
        for peer in PEERS:
            if importlib.util.find_spec(peer.name) is None:
                print(f"bench: {peer.title} is not installed: left out", file=sys.stderr)
                continue
            try:
                with driven(f"benchmarks.peer_{peer.name}") as driver:
                    figures += _measure(peer, driver, hub, budget.seconds / 2)
                    if peer.restarts:
                        figures.append(_restart(peer, driver, killer, budget))
            except holdfast.DeliveryError as error:
                print(f"bench: {peer.title} is left out: {error}", file=sys.stderr)
    return figures


def _measure(peer: Peer, driver: Driven, hub: holdfast.Hub, seconds: float) -> list[Figure]:
    echo = hub.ref("echo")

    def theirs(command: str, count: int) -> Round:
        return msgspec.convert(driver.ask(command, count), list[float])

    told, asked, their_asked, *their_told = interleave(
        seconds,
        lambda: from_program(hub, MESSAGE, CpuMeter({})),
        lambda: timed(ASKS, lambda: echo.ask(PAYLOAD, timeout=10.0)),
        partial(theirs, "ask", ASKS),
        *(partial(theirs, command, peer.count) for command in peer.tells),
    )
    figures = []
    for shown, rounds in zip(peer.tells.values(), their_told, strict=True):
        bound = None if shown else peer.least_tell
        name = f"tell 1 KB vs {peer.title}{shown}"
        figures.append(compare(name, "1/s", told, rounds, better="higher", bound=bound))
    name = f"ask vs {peer.title}"
    return [*figures, compare(name, "us", asked, their_asked, bound=peer.most_ask)]


def _restart(peer: Peer, driver: Driven, killer: Killer, budget: Budget) -> Figure:
    """SIGKILL to the next answer, of ours and of theirs."""

    def theirs() -> Round:
        return msgspec.convert(driver.ask("restart", 1), list[float])

    ours, peers = interleave(budget.seconds / 2, killer.round, theirs, least=budget.kills // 2)
    return judged(compare(f"restart vs {peer.title}", "ms", ours, peers))
