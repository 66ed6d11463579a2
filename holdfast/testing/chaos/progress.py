"""How far a run is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from holdfast.testing.chaos.runner import Progress
from holdfast.testing.chaos.schedule import Schedule, Step

__all__ = ["shown"]

EVERY: Final = 10.0  # seconds between two lines


@contextmanager
def shown(schedule: Schedule) -> Iterator[Progress]:
    """On standard error, so that the report alone is on standard output."""
    if sys.stderr.isatty():
        with _bar(schedule) as progress:
            yield progress
    else:
        yield _lines(len(schedule.rounds))


@contextmanager
def _bar(schedule: Schedule) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=sum(map(len, schedule.rounds)))
        before = [0]
        for steps in schedule.rounds:
            before.append(before[-1] + len(steps))

        def progress(number: int, index: int, _count: int, step: Step | None) -> None:
            text = str(step) if step is not None else "coming to rest"
            bars.update(
                bar,
                completed=before[number] + index,
                description=f"round {number + 1} of {len(schedule.rounds)} {text[:40]:<40}",
            )

        yield progress


def _lines(rounds: int) -> Progress:
    last = 0.0

    def progress(number: int, index: int, count: int, step: Step | None) -> None:
        nonlocal last
        now = time.monotonic()
        if step is None or index == 0 or now - last >= EVERY:
            last = now
            what = f"step {index} of {count}" if step is not None else "coming to rest"
            print(f"round {number + 1} of {rounds}: {what}", file=sys.stderr, flush=True)

    return progress
