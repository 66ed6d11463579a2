"""``python -m holdfast.testing.oracle DATABASE JOURNALS...``: exit code 1 for a broken promise."""

from __future__ import annotations

import argparse
import sqlite3
import sys

from holdfast.testing.oracle.checker import check
from holdfast.testing.oracle.lives import JournalError
from holdfast.testing.oracle.verdict import Verdict

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """0 all promises are kept; 1 some are not; 2 there is nothing that could be checked."""
    parser = argparse.ArgumentParser(prog="holdfast.testing.oracle", description=__doc__)
    parser.add_argument("database", help="holdfast.db, or a DSN; the daemon may run")
    parser.add_argument("--daemon", default="default", help="whose rows, behind a DSN")
    parser.add_argument("journals", nargs="+", help="journals of clients, or folders of them")
    parser.add_argument(
        "--level",
        choices=("committed", "disk"),
        default="committed",
        help="what has to be there: after a power loss only what was acknowledged as on the disk",
    )
    options = parser.parse_args(argv)
    try:
        verdict = check(
            options.database, options.journals, level=options.level, daemon=options.daemon
        )
    except (JournalError, OSError, sqlite3.Error) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    _print(verdict)
    return 0 if verdict.is_good else 1


def _print(verdict: Verdict) -> None:
    for (kind, what), count in sorted(verdict.counts.items()):
        print(f"{kind:<12}{what:<14}{count:>10}")
    for violation in verdict.violations:
        print(violation)
    if verdict.is_good:
        print("every promise is kept")
    else:
        counts = ", ".join(f"{rule} {count}" for rule, count in sorted(verdict.found.items()))
        print(f"broken: {counts}")


if __name__ == "__main__":
    sys.exit(main())
