"""The command: records, cuts, reports."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from holdfast.testing.faults.power.report import report_text
from holdfast.testing.faults.power.runs import Run, Summary, cut_run, plan_runs
from holdfast.testing.faults.power.tree import cut_tree

__all__ = ["main"]

NAME = "python -m holdfast.testing.faults.power"


def main(arguments: Sequence[str]) -> int:
    """0 when every promise was kept, else 1."""
    parser = argparse.ArgumentParser(prog=NAME, description="Simulate power losses of the writer.")
    parser.add_argument("--seed", type=int, default=1, help="draws commands and losses")
    parser.add_argument("--cuts", type=int, default=1_000, help="writes after which it is cut")
    parser.add_argument(
        "--every-loss", action="store_true", help="all kinds of loss at each, not one in turn"
    )
    parser.add_argument(
        "--tree", action="store_true", help="cut a daemon under traffic and SIGKILL as well"
    )
    parser.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--report", type=Path, help="also write the report to this file")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    runs = plan_runs(options.seed, options.cuts, every_loss=options.every_loss)
    summaries = _cut_all(runs, processes=options.processes)
    if options.tree:
        summaries.append(cut_tree(options.seed, every_loss=options.every_loss))
        _show(summaries[-1], "a daemon")
    shown = [word for word in arguments if word != str(options.report) and word != "--report"]
    text = report_text(
        summaries,
        command=shlex.join([*NAME.split(), *shown]),
        seconds=time.monotonic() - began,
    )
    sys.stdout.write(text)
    if options.report is not None:
        options.report.write_text(text, encoding="utf-8")
    return 1 if any(summary.cuts.violations for summary in summaries) else 0


def _cut_all(runs: Sequence[Run], *, processes: int) -> list[Summary]:
    summaries = []
    for summary in _in_any_order(runs, processes):
        summaries.append(summary)
        _show(summary, f"{len(summaries)} of {len(runs)} writers")
    return sorted(summaries, key=lambda summary: summary.run.seed)


def _show(summary: Summary, what: str) -> None:
    cuts = summary.cuts
    sys.stderr.write(
        f"{what}, seed {summary.run.seed}: {cuts.points:,} cuts, {cuts.disks.total():,} disks, "
        f"{len(cuts.violations)} violations, {summary.seconds:.1f} s\n"
    )


def _in_any_order(runs: Sequence[Run], processes: int) -> Iterator[Summary]:
    if processes == 1:
        yield from map(cut_run, runs)
        return
    # Spawned, not forked: no SQLite crosses a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for future in as_completed([pool.submit(cut_run, run) for run in runs]):
            yield future.result()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
