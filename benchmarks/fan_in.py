"""Four senders of 1 KB to one actor, beside four bare sockets into one process."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import holdfast
from benchmarks.bare import peer
from benchmarks.daemon import running_daemon
from benchmarks.driven import Driven, driven
from benchmarks.measure import Budget, CpuMeter, Figure, Round, compare, interleave, rate

__all__ = ["run"]

SENDERS: Final = 4
TELLS: Final = 2_048  # of each, a round
BOUND: Final = 0.5


def run(budget: Budget) -> list[Figure]:
    """From four programs, and from four agents of the tree; until all is acknowledged."""
    agents = {f"teller{number}": "sending:Teller" for number in range(SENDERS)}
    with ExitStack() as stack:
        daemon = stack.enter_context(running_daemon({"echo": "agents:Echo", **agents}))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-"))
        path = str(Path(folder) / "sink.sock")
        sink = stack.enter_context(peer("fan_in", path))
        assert sink.recv(1), "the sink did not start"

        def sender(*arguments: str) -> Driven:
            return stack.enter_context(driven("benchmarks.senders", *arguments))

        programs = [sender("hub", str(daemon.run_dir)) for _ in range(SENDERS)]
        bare = [sender("bare", path) for _ in range(SENDERS)]
        hub = stack.enter_context(daemon.connect())
        meter = CpuMeter({"receiver": daemon.pids(hub)["echo"]}, here=False)

        def from_programs() -> Round:
            with meter.running():
                return _all_of(programs)

        told, asked, floor = interleave(
            budget.seconds, from_programs, lambda: _all_tellers(hub), lambda: _all_of(bare)
        )
    cpu = meter.per(SENDERS * TELLS * (len(told) + 1))
    name = f"fan-in 1 KB, {SENDERS}"
    return [
        compare(f"{name} programs", "1/s", told, floor, better="higher", bound=BOUND, cpu_us=cpu),
        compare(f"{name} agents", "1/s", asked, floor, better="higher", bound=BOUND),
    ]


def _all_of(senders: list[Driven]) -> Round:
    """Messages a second, from the first request to the last answer."""

    def work() -> None:
        for sender in senders:
            sender.begin("tell", TELLS)
        for sender in senders:
            sender.end()

    return rate(SENDERS * TELLS, work)


def _all_tellers(hub: holdfast.Hub) -> Round:
    """The same by agents, which are asked to."""

    def work() -> None:
        asked = [
            hub.ref(f"teller{number}").ask(TELLS, block=False, timeout=60.0)
            for number in range(SENDERS)
        ]
        for future in asked:
            future.get()

    return rate(SENDERS * TELLS, work)
