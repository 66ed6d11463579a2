"""``python -m holdfast.testing.chaos --seed N --minutes M``: exit code 1 for a broken promise."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from holdfast.errors import ConfigError
from holdfast.testing.chaos.progress import shown
from holdfast.testing.chaos.runner import CLIENTS, run
from holdfast.testing.chaos.schedule import PROFILES, Schedule, draw, load

__all__ = ["main"]

FOLDER: Final = Path("var", "chaos")


def main(argv: list[str] | None = None) -> int:
    """0 every promise was kept; 1 one was broken, or the run interrupted; 2 bad usage; 3 no
    schedule."""
    options = _parser().parse_args(argv)
    try:
        schedule = _schedule(options)
    except ConfigError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 3
    if options.print:
        _print(schedule)
        return 0
    # The daemon's processes work in folders of their own.
    folder = options.folder.absolute() / f"{schedule.profile}-{schedule.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    saved = folder / "schedule.json"
    schedule.save(saved)
    steps = Counter(step.do for steps in schedule.rounds for step in steps)
    kinds = ", ".join(f"{count} {do}" for do, count in steps.most_common())
    print(f"seed {schedule.seed}, profile {schedule.profile}, {len(schedule.rounds)} rounds")
    print(f"{kinds}; again with --schedule {saved}", flush=True)
    with shown(schedule) as progress:
        report = run(schedule, folder, clients=options.clients, progress=progress)
    text = report.text()
    if options.report is not None:
        options.report.write_text(text, encoding="utf-8")
    print(text, end="")
    if not report.is_good:
        print(f"chaos: what is left of the bad rounds is in {folder}", file=sys.stderr)
    return 0 if report.is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="holdfast.testing.chaos", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, help="what the schedule is drawn from; without it a new one")
    add("--minutes", type=_minutes, default=1.0, help="under faults; rounds of half a minute")
    add("--profile", choices=PROFILES, default="all", help="what kind of faults")
    add("--schedule", type=Path, help="run one that was saved, instead of a seed")
    add("--report", type=Path, help="write the report to this file too")
    add("--clients", type=int, default=CLIENTS, help="programs that work with the daemon")
    add("--folder", type=Path, default=FOLDER, help="for data; that of good rounds is removed")
    add("--print", action="store_true", help="print the schedule, step by step, and do nothing")
    return parser


def _minutes(text: str) -> float:
    if not 0 < (minutes := float(text)) <= 60 * 24 * 7:
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0 and up to a week")
    return minutes


def _schedule(options: argparse.Namespace) -> Schedule:
    if options.schedule is not None:
        return load(options.schedule)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    return draw(seed, minutes=options.minutes, profile=options.profile)


def _print(schedule: Schedule) -> None:
    for number, steps in enumerate(schedule.rounds):
        print(f"round {number}")
        for step in steps:
            print(f"  {step}")


if __name__ == "__main__":
    sys.exit(main())
