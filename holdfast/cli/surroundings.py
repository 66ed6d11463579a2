"""What ``doctor`` finds around a daemon: packages, limits, memory, the clock, the run directory.

Each check takes the place to look at, so that a test can show it a bad one.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import socket
import stat
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from holdfast.cli.findings import Finding
from holdfast.cli.sizes import size
from holdfast.errors import HoldfastError

__all__ = ["of_clock", "of_folder", "of_leftovers", "of_limits", "of_memory", "of_versions"]

NOFILE: Final = 1_024  # descriptors: each program that is connected takes one in each actor it uses
MEMORY: Final = 256 * 2**20  # bytes: twice of what the default tree takes, idle
STEP: Final = 10.0  # seconds; less may be the time that a start took
_FLOOR: Final = re.compile(r"([A-Za-z0-9_.-]+)\s*>=\s*([0-9.]+)\s*$")


def of_versions(requires: list[str] | None = None) -> Iterator[Finding]:
    """Python, SQLite, and the packages, each with the floor that the installation names."""
    import apsw

    from holdfast.storage.sqlite_connection import check_library

    python = platform.python_version()
    found = f"Python {python}, SQLite {apsw.sqlite_lib_version()}, apsw {apsw.apsw_version()}"
    try:
        check_library()
    except HoldfastError as error:
        yield Finding("versions", "error", str(error))
    else:
        yield Finding("versions", "ok", found)
    yield _of_packages(requires if requires is not None else metadata.requires("holdfast") or [])


def _of_packages(requires: list[str]) -> Finding:
    """Those that every installation needs: what extras need has a marker behind a semicolon."""
    found, bad = [], []
    for name, floor in (match.groups() for each in requires if (match := _FLOOR.match(each))):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            bad.append(f"{name} is not installed")
            continue
        found.append(f"{name} {version}")
        if _numbers(version) < _numbers(floor):
            bad.append(f"{name} {version} is older than {floor}")
    if bad:
        text = f"{'; '.join(bad)}: python -m pip install --upgrade holdfast"
        return Finding("packages", "error", text)
    return Finding("packages", "ok", ", ".join(found))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def of_folder(run_dir: Path) -> Iterator[Finding]:
    """Who may enter it."""
    found = run_dir.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        text = f"{run_dir}: belongs to uid {found.st_uid}, and this is uid {os.geteuid()}"
        yield Finding("run directory", "error", f"{text}: run holdfast as one user")
    elif mode & 0o077:
        yield Finding("run directory", "error", f"{run_dir}: mode {mode:o}; chmod 700 it")
    else:
        yield Finding("run directory", "ok", f"{run_dir}: mode {mode:o}")


def of_leftovers(run_dir: Path, names: set[str] | None) -> Iterator[Finding]:
    """Sockets that nobody listens at; ``names`` are the actors of the daemon there, if one runs."""
    dead = [path for path in sorted(run_dir.glob("*.sock")) if not _is_served(path)]
    if names is None:
        left = [path.name for path in dead]
        if (run_dir / "root.pid").exists():
            left.append("root.pid")
        if left:
            text = f"{run_dir}: {', '.join(left)} of a daemon that was killed; the next start "
            yield Finding("leftovers", "warning", text + "clears them: start it, or delete them")
        return
    strange = [path.name for path in dead if path.stem not in names]
    if strange:
        text = f"{run_dir}: nobody listens at {', '.join(strange)}: delete them"
        yield Finding("leftovers", "warning", text)
    else:
        yield Finding("leftovers", "ok", f"{run_dir}: none")


def _is_served(path: Path) -> bool:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            # By descriptor: the path of a socket holds 107 bytes only.
            found = probe.connect_ex(f"/proc/self/fd/{folder}/{path.name}")
            return found in (0, errno.EAGAIN)  # the second: somebody listens, and is busy
    finally:
        os.close(folder)


def of_limits(pid: int, proc: Path = Path("/proc")) -> Iterator[Finding]:
    """What the kernel lets the daemon's root have, and so its children."""
    for line in (proc / str(pid) / "limits").read_text().splitlines():
        if not line.startswith("Max open files"):
            continue
        soft, hard = line.split()[3:5]
        if soft != "unlimited" and int(soft) < NOFILE:
            text = (
                f"{soft} open files in each process, and a program that is connected takes one: "
                f"`ulimit -n {NOFILE}` before the start (at most {hard}), LimitNOFILE= of systemd"
            )
            yield Finding("limits", "warning", text)
        else:
            yield Finding("limits", "ok", f"{soft} open files in each process")


def of_memory(meminfo: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """What the machine could give without paging."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    if found is None:
        return
    free = int(found[1]) * 1024
    if free < MEMORY:
        text = f"only {size(free)} are available: the kernel may kill actors; give it more"
        yield Finding("memory", "warning", text)
    else:
        yield Finding("memory", "ok", f"{size(free)} available")


def of_clock(pid: int, run_dir: Path) -> Iterator[Finding]:
    """Whether the wall clock was set since the daemon started, by a clock that cannot be set."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    by_wall = time.time() - (run_dir / "root.pid").stat().st_mtime
    step = by_wall - age
    if abs(step) > STEP:
        text = (
            f"the wall clock was set by {step:+.0f} s since the daemon started: times of events "
            "before and after do not compare; have it slewed (chrony: makestep only at boot)"
        )
        yield Finding("clock", "warning", text)
    else:
        yield Finding("clock", "ok", "not set since the daemon started")
