"""``./run mutations [NAME...]``: breaks a copy of the code in named places, one at a time.

Each break has to make each of its tests fail, which all pass without it.  A run of all of them
writes docs/evidence/mutations.md.  Exit code 1 when a break is not noticed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from tests.mutations.mutation import Mutation
from tests.mutations.table import MUTATIONS

ROOT: Final = Path(__file__).resolve().parents[2]
REPORT: Final = ROOT / "docs" / "evidence" / "mutations.md"
PARTS: Final = ("actors", "configs", "examples", "holdfast", "storage", "supervisors", "tests")
FILES: Final = ("setup.cfg", "pyproject.toml", "README.md")
TIMEOUT: Final = 600.0  # seconds for the tests of one break; who hangs has not noticed it
AT_ONCE: Final = os.cpu_count() or 1  # breaks
FAILED: Final = re.compile(r"^FAILED (\S+?)(?:\[[^\n]*?\])?(?: - (.*))?$", re.MULTILINE)


class Outcome(NamedTuple):
    """What the tests of a break came to; ``unnoticed`` are those that passed."""

    mutation: Mutation
    unnoticed: list[str]


def main(names: list[str]) -> int:
    """Try those breaks, or all."""
    known = {mutation.name: mutation for mutation in MUTATIONS}
    if unknown := [name for name in names if name not in known]:
        print(f"no mutation {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = [known[name] for name in names] or list(MUTATIONS)
    of = commit()  # of what is copied, whatever is checked out meanwhile
    with TemporaryDirectory(prefix="mutations-") as folder:
        copy = copied(Path(folder) / "copy")
        tests = list(dict.fromkeys(test for each in wanted for test in each.tests))
        print(f"without a break: {len(tests)} tests", flush=True)
        code, output = run(copy, tests)
        if code:
            print(output, f"the tests do not pass without a break: {code}", sep="\n")
            return 1
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(partial(tried, copy), wanted))
    if not names:
        REPORT.write_text(report(outcomes, of), encoding="utf-8")
    return 1 if any(outcome.unnoticed for outcome in outcomes) else 0


def copied(folder: Path) -> Path:
    """The code and its tests, to be broken; the links of the package stay links."""
    folder.mkdir()
    for part in PARTS:
        shutil.copytree(
            ROOT / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in FILES:
        shutil.copy(ROOT / file, folder / file)
    return folder


def tried(whole: Path, mutation: Mutation) -> Outcome:
    """Break it in a copy of its own, and run its tests."""
    copy = Path(shutil.copytree(whole, whole.with_name(mutation.name), symlinks=True))
    path = copy / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.name}: {mutation.file} does not have it once any more")
    broken = text.replace(mutation.old, mutation.new)
    compile(broken, str(path), "exec")
    path.write_text(broken, encoding="utf-8")
    unnoticed, why = [], ""
    for test in mutation.tests:
        code, output = run(copy, [test])
        failures = FAILED.findall(output)
        if code != 1 or not failures:  # an error of the collection is none of a promise
            unnoticed.append(test)
        elif not why:
            why = reason(failures[0])
    verdict = f"NOT NOTICED by {', '.join(unnoticed)}" if unnoticed else f"noticed: {why}"
    print(f"{mutation.name}: {verdict}", flush=True)
    return Outcome(mutation, unnoticed)


def reason(failure: tuple[str, str]) -> str:
    """Of a line of pytest's summary: what the test says."""
    test, said = failure
    return said or test.rpartition("::")[2]


def run(copy: Path, tests: list[str]) -> tuple[int, str]:
    """pytest on the copy, and whatever it starts too; until the first failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    # An installed checkout is found behind this; no bytecode, whose age has whole seconds.
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["COLUMNS"] = "200"
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return -1, f"not done after {TIMEOUT:g} s"
    return done.returncode, done.stdout


def report(outcomes: list[Outcome], of: str) -> str:
    """The page of evidence."""
    noticed = sum(not outcome.unnoticed for outcome in outcomes)
    version, now = metadata.version("holdfast"), datetime.now(UTC)
    lines = [
        "# Mutations",
        "",
        "Written by `./run mutations`: a copy of the code is broken on purpose, one place at a",
        "time, and the tests named beside it have to fail, each of them, though they pass on what",
        "is not broken. What is broken and how stands in `tests/mutations`.",
        "",
        f"holdfast {version}, commit {of}, Python {sys.version.split()[0]}, {now:%Y-%m-%d}:"
        f" {noticed} of {len(outcomes)} noticed.",
        "",
        "| broken | in | noticed by |",
        "|---|---|---|",
    ]
    for outcome in outcomes:
        mutation = outcome.mutation
        tests = [short(test) for test in mutation.tests if test not in outcome.unnoticed]
        tests += [f"**not by** {short(test)}" for test in outcome.unnoticed]
        cell = "<br>".join(tests)
        lines.append(f"| {mutation.name}: {mutation.says} | `{mutation.file}` | {cell} |")
    return "\n".join([*lines, ""])


def short(test: str) -> str:
    """A test as GUARANTEES.md names it."""
    return f"`{test.removeprefix('tests/')}`"


def commit() -> str:
    """The short name of what is checked out, with a mark when it was changed since."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
