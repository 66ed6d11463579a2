"""What a thousand restarts leave behind: in time, memory and descriptors.

The child is an agent, killed as soon as its last life has answered.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.bare import peer
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.kills import Bare, Killer
from benchmarks.measure import Budget, Figure, Round, absolute, compare, interleave
from benchmarks.processes import rss_bytes
from holdfast.supervisors.linux import process_name, shown_name
from holdfast.supervisors.spec import zygote_name

__all__ = ["run"]

KIBI: Final = 1024
BOUND_LATENCY: Final = 1.2  # the last tenth by the first
BOUND_KIB: Final = 1024.0  # in the second half, of each
SETTLING: Final = 1.0  # seconds until what a death leaves to do is done


class Usage(msgspec.Struct, frozen=True):
    """Of one process."""

    rss: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Now."""
        return cls(rss_bytes(pid), len(os.listdir(f"/proc/{pid}/fd")))


def run(budget: Budget) -> list[Figure]:
    """As many kills as the budget has, in two halves; before them one, whose record is kept."""
    with (
        running_daemon({"echo": "agents:Echo"}) as daemon,
        daemon.connect() as hub,
        peer("zygote") as sock,
    ):
        killer, bare = Killer(daemon, hub, "echo", "there?"), Bare(sock)
        watched = _watched(daemon, daemon.pids(hub)["agents"])
        killer.round()
        usages, kills, floor = [_usage(watched)], list[Round](), list[Round]()
        for _ in range(2):
            ours, theirs = interleave(0.0, killer.round, bare.round, least=budget.restarts // 2)
            kills, floor = kills + ours, floor + theirs
            usages.append(_usage(watched))
    name = f"{budget.restarts:,} restarts"
    return [
        _last_by_first(f"{name}: last tenth vs first", kills, bound=BOUND_LATENCY),
        _last_by_first(f"{name}: the same of the bare fork", floor, bound=None),
        *_growths(name, usages),
    ]


def _last_by_first(figure: str, rounds: Sequence[Round], *, bound: float | None) -> Figure:
    """``floor`` is the first tenth."""
    samples = [sample for round_ in rounds for sample in round_]
    tenth = len(samples) // 10
    return compare(figure, "ms", [samples[-tenth:]], [samples[:tenth]], bound=bound)


def _growths(name: str, usages: Sequence[dict[str, Usage]]) -> list[Figure]:
    """The first half fills what is bounded: a supervisor's reports, the allocator's reserves."""
    first, middle, last = usages
    figures = []
    for who in first:
        whole, half = (last[who].rss - since[who].rss for since in (first, middle))
        figures.append(absolute(f"{name}: growth, {who}", "KiB", [[whole / KIBI]]))
        title = f"{name}: growth, second half, {who}"
        figures.append(absolute(title, "KiB", [[half / KIBI]], bound=BOUND_KIB))
    more = sum(last[who].descriptors - first[who].descriptors for who in first)
    figures.append(absolute(f"{name}: descriptors", "more", [[float(more)]], bound=0.0))
    return figures


def _usage(watched: dict[str, int]) -> dict[str, Usage]:
    time.sleep(SETTLING)
    return {name: Usage.of(pid) for name, pid in watched.items()}


def _watched(daemon: Daemon, supervisor: int) -> dict[str, int]:
    """Who has a part in a restart, beside the child."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    shown = shown_name(zygote_name("agents"))
    zygote = next(int(pid) for pid in children if process_name(int(pid)) == shown)
    return {"root": daemon.process.pid, "supervisor": supervisor, "zygote": zygote}
