"""What came of the runs, as a page: with it the same can be done again."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import apsw

import holdfast
from holdfast.testing.faults.power.runs import Summary

__all__ = ["report_text"]

_LOSSES = {
    "nothing": "everything had reached the disk",
    "unsynced": "nothing but what was synced had",
    "some": "a part of the unsynced had, drawn",
    "older": "the newest had, what was before it had not (reordered)",
    "torn": "of the newest write only some sectors had",
    "settled": "there was nothing unsynced",
}


def report_text(summaries: Sequence[Summary], *, command: str, seconds: float) -> str:
    """Markdown; the violations, if any, are in it."""
    cuts = [summary.cuts for summary in summaries]
    disks = _added(each.disks for each in cuts)
    points, count = sum(each.points for each in cuts), disks.total()
    wrong = sum(len(each.violations) for each in cuts)
    figures = {
        "power cuts": f"{points:,}, one after every write, sync, truncation and deletion",
        "disks opened again": f"{count:,}, {count / max(seconds, 0.001):,.0f} a second",
        "recorded writers": _seeds([each for each in summaries if not each.is_tree]),
        "recorded daemons, under traffic and SIGKILL": _seeds(
            [each for each in summaries if each.is_tree]
        ),
        "transactions": f"{sum(each.commits for each in cuts):,}",
        "acknowledgements": f"{sum(each.told for each in cuts):,}",
        "transactions that a cut took at most": f"{max(each.deepest for each in cuts)}, "
        "of those acknowledged as `committed` only",
        "**violations of D2**": f"**{wrong}**",
    }
    parts = [
        f"# Power loss, {datetime.now(UTC):%Y-%m-%d}",
        f"Made by `{command}` with holdfast {holdfast.__version__}, SQLite "
        f"{apsw.sqlite_lib_version()}, CPython {platform.python_version()}, in {seconds:.0f} s.",
        _table(("", ""), figures),
        "## What was on the disk\n\n"
        + _table(("", "disks"), {text: f"{disks[name]:,}" for name, text in _LOSSES.items()}),
        "## After which entries\n\n"
        + _table(("entry", "cuts"), _numbers(_added(each.entries for each in cuts))),
        "## What the writers did\n\n"
        + _table(("command", "times"), _numbers(_added(s.commands for s in summaries))),
    ]
    if wrong:
        parts.append("## Violations\n\n" + "\n".join(_violations(summaries)))
    return "\n\n".join(parts) + "\n"


def _violations(summaries: Sequence[Summary]) -> list[str]:
    lines = []
    for summary in summaries:
        who = f"{'daemon' if summary.is_tree else 'writer'} {summary.run.seed}"
        for each in summary.cuts.violations:
            what = f"entry {each.entry}, lost {each.loss}: {'; '.join(each.wrong)}"
            lines.append(f"- {who}, {what}")
    return lines


def _seeds(summaries: Sequence[Summary]) -> str:
    seeds = sorted(summary.run.seed for summary in summaries)
    if len(seeds) > 1:
        return f"{len(seeds)}, of seeds {seeds[0]} to {seeds[-1]}"
    return f"1, of seed {seeds[0]}" if seeds else "none"


def _added(counters: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter())


def _numbers(counts: Counter[str]) -> dict[str, str]:
    return {name: f"{count:,}" for name, count in counts.most_common()}


def _table(head: tuple[str, str], rows: Mapping[str, str]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows.items())])
