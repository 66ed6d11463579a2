"""``./run bench [NAME ...] [--json] [--quick]``: run benchmarks, print the figures.

Exits 0 whatever the figures are: a loaded machine is no defect.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

import holdfast
from benchmarks import (
    aio,
    ask,
    checkpoints,
    committed,
    emit,
    fan_in,
    gateway,
    gone,
    load,
    memory,
    peers,
    postgresql,
    postgresql_state,
    queries,
    restart,
    retention,
    ring,
    sessions,
    sessions_front,
    start,
    state,
    subscribers,
    supervision,
    swap,
    swap_copy,
    tell,
    top,
)
from benchmarks.measure import Budget, Figure, Spread

BENCHMARKS: Final[dict[str, Callable[[Budget], list[Figure]]]] = {
    "ask": ask.run,
    "aio": aio.run,
    "tell": tell.run,
    "fan-in": fan_in.run,
    "checkpoints": checkpoints.run,
    "committed": committed.run,
    "disk": committed.run_disk,
    "postgresql": postgresql.run,
    "top": top.run,
    "postgresql-state": postgresql_state.run,
    "restart": restart.run,
    "supervision": supervision.run,
    "gone": gone.run,
    "peers": peers.run,
    "emit": emit.run,
    "load": load.run,
    "start": start.run,
    "memory": memory.run,
    "ring": ring.run,
    "sessions": sessions.run,
    "sessions-front": sessions_front.run,
    "state": state.run,
    "queries": queries.run,
    "subscribers": subscribers.run,
    "retention": retention.run,
    "swap": swap.run,
    "swap-copy": swap_copy.run,
    "gateway": gateway.run,
}
ASKED_FOR: Final = {
    "peers",
    "postgresql",
    "swap",
    "swap-copy",
    "postgresql-state",
}  # need an extra, which ./run installs, or a server
FULL: Final = Budget(seconds=20.0, kills=40, restarts=1_000, load_seconds=60.0, database=1_000_000)
QUICK: Final = Budget(seconds=3.0, kills=6, restarts=100, load_seconds=5.0, database=100_000)


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="./run bench", description="Figures beside their floors.")
    names = ", ".join(BENCHMARKS)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{names}; all but {', '.join(sorted(ASKED_FOR))} by default",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="a few seconds each")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}: expected {names}")
    # As anywhere but in some containers: else every restart compiles its agent's module anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGINT, _interrupted)
    signal.signal(signal.SIGTERM, _interrupted)
    figures = _figures(options.names or _by_default(), QUICK if options.quick else FULL)
    try:
        if options.json:
            for figure in figures:
                print(msgspec.json.encode(figure).decode(), flush=True)
        else:
            _print(figures)
    except holdfast.HoldfastError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _interrupted(number: int, _frame: object) -> None:
    """End, but not without stopping what was started: a second Ctrl-C does not hurry that."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _by_default() -> list[str]:
    return [name for name in BENCHMARKS if name not in ASKED_FOR]


def _figures(names: list[str], budget: Budget) -> Iterator[Figure]:
    for name in names:
        yield from BENCHMARKS[name](budget)


def _print(figures: Iterator[Figure]) -> None:
    """The table, when all is measured; until then what is being done."""
    console = Console(highlight=False)
    console.width = max(console.width, 130)  # a pipe has 80, and the figures need more
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", style="bold", no_wrap=True)
    for name in ("unit", "ours p50", "p99", "floor p50", "p99", "ratio", "target"):
        table.add_column(name, justify="right", no_wrap=True)
    used = Table(box=None, pad_edge=False)
    used.add_column("processor time, us each", style="bold", no_wrap=True)
    used.add_column("by process")
    with console.status("measuring"):
        for figure in figures:
            table.add_row(*_row(figure))
            if figure.cpu_us:
                each = (f"{name} {us:.1f}" for name, us in figure.cpu_us.items())
                used.add_row(figure.figure, "  ".join(each))
    console.print(table)
    if used.row_count:
        console.print()
        console.print(used)
    console.print(
        "\np99: the bad end, of rates the slowest hundredth.\n"
        "ratio: ours by the floor, the median over neighbouring rounds."
    )


def _row(figure: Figure) -> list[str]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
    color = {True: "green", False: "red", None: "default"}[figure.reached]
    return [
        figure.figure,
        figure.unit,
        *_cells(figure.ours),
        *_cells(figure.floor),
        ratio,
        f"[{color}]{figure.target}[/]",
    ]


def _cells(spread: Spread | None) -> list[str]:
    if spread is None:
        return ["", ""]
    digits = 0 if spread.p50 >= 1000 else 1 if spread.p50 >= 1 or not spread.p50 else 3
    return [f"{spread.p50:,.{digits}f}", f"{spread.p99:,.{digits}f}"]


if __name__ == "__main__":
    sys.exit(main())
