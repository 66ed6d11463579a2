"""Known vulnerabilities in what holdfast needs: ``./run audit``.

Asks pip-audit, and so the advisories of PyPI or OSV, about every package that an installation
without extras has.  Exit codes: 0 none known; 1 some are; 69 nobody could be asked.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from typing import Any, Final

__all__ = ["UnreachableError", "audit", "needed"]

TIMEOUT: Final = 120.0  # seconds for all of it


class UnreachableError(Exception):
    """There is no answer; the message says why."""


def needed(package: str = "holdfast") -> set[str]:
    """The packages that come with it, at whatever distance."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        for requirement in metadata.requires(waiting.pop()) or ():
            text, _, marker = requirement.partition(";")
            name = _normal(re.split(r"[^A-Za-z0-9._-]", text.strip())[0])
            if "extra" in marker or name in found or not _is_installed(name):
                continue
            found.add(name)
            waiting.append(name)
    return found


def audit() -> list[str]:
    """One line for each vulnerability that is known.  Raises UnreachableError."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise UnreachableError(f"the advisory service did not answer in {TIMEOUT:.0f} s") from None
    if not done.stdout.strip():
        raise UnreachableError((done.stderr.strip().splitlines() or ["pip-audit says nothing"])[-1])
    return read(json.loads(done.stdout), needed())


def read(report: dict[str, Any], names: set[str]) -> list[str]:
    """What pip-audit's report says of ``names``.  Raises UnreachableError for one it leaves out."""
    packages = {_normal(each["name"]): each for each in report["dependencies"]}
    unknown = sorted(name for name in names if "version" not in packages.get(name, {}))
    if unknown:
        raise UnreachableError(f"the advisory service knows nothing of {', '.join(unknown)}")
    return [
        f"{name} {packages[name]['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version'}"
        for name in sorted(names)
        for vulnerability in packages[name]["vulns"]
    ]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def main() -> int:
    """Print what is known."""
    try:
        found = audit()
    except UnreachableError as error:
        print(f"audit: not done: {error}", file=sys.stderr)
        return 69
    for line in found or [f"no known vulnerability in {', '.join(sorted(needed()))}"]:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
