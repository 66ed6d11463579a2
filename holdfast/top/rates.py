"""The figures of a row: differences between two samples of the tree.  Pure; keeps nothing."""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from holdfast.actors.handling import quantile
from holdfast.actors.messages.supervisor import ChildStatus

__all__ = ["Row", "rows_of"]


class Row(msgspec.Struct, frozen=True):
    """One process; ``branch`` is what stands before its name, ``above`` its supervisor's.

    ``rate`` messages a second, ``cpu`` the part of a core; ``p50`` and ``p99`` seconds, of what was
    handled between the samples, of its whole life where that is nothing.
    """

    branch: str
    above: str
    child: ChildStatus
    rate: float
    p50: float
    p99: float
    cpu: float


def rows_of(root: ChildStatus, before: ChildStatus | None, seconds: float) -> list[Row]:
    """Every process in start order; ``before`` is the tree ``seconds`` ago."""
    old = {} if before is None else {child.id: child for child in _walk(before)}
    rows: list[Row] = []

    def add(child: ChildStatus, above: str, branch: str, below: str) -> None:
        rows.append(_row(child, above, branch, old.get(child.id), seconds))
        for each in child.children:
            fork, trunk = ("└ ", "  ") if each is child.children[-1] else ("├ ", "│ ")
            add(each, child.id, below + fork, below + trunk)

    add(root, "", "", "")
    return rows


def _walk(child: ChildStatus) -> list[ChildStatus]:
    return [child, *(each for below in child.children for each in _walk(below))]


def _row(
    child: ChildStatus, above: str, branch: str, before: ChildStatus | None, seconds: float
) -> Row:
    counts = child.handling
    rate, cpu = child.rate, child.cpu / child.uptime if child.uptime > 1 else 0.0
    is_same = before is not None and before.pid == child.pid and seconds > 0
    if is_same and before is not None:
        rate = max(0, child.handled - before.handled) / seconds
        cpu = max(0.0, child.cpu - before.cpu) / seconds
        fresh = [a - b for a, b in zip_longest(counts, before.handling, fillvalue=0)]
        counts = fresh if any(fresh) else counts
    return Row(
        branch=branch,
        above=above,
        child=child,
        rate=rate,
        p50=quantile(counts, 0.5),
        p99=quantile(counts, 0.99),
        cpu=cpu,
    )
