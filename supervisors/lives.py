"""Lives as the operating system shows them: which one a process belongs to, however it came to be.

A life is a path, ``TOKEN/state.1/planner.3``: a random text per start of the root, then a name and
a start number per level.  A program that an agent runs inherits it as an environment variable; a
fork that runs no other program inherits a mapping of that name.  Owns nothing that could be lost.
"""

from __future__ import annotations

import mmap
import os
import uuid
from pathlib import Path
from typing import Final

import msgspec

__all__ = ["ACTOR", "LIFE", "RUN_DIR", "Badge", "Marks", "life_below", "marks_of", "new_life"]

# In the environment of what an agent runs; the last has `holdfast` find the daemon.
LIFE: Final = "HOLDFAST_LIFE"
ACTOR: Final = "HOLDFAST_ACTOR"
RUN_DIR: Final = "HOLDFAST_RUN_DIR"

_MAPPED: Final = "/memfd:holdfast-life:"
_LONGEST: Final = 220  # of a life in the name of a mapping; the kernel takes 249 in all
_OUTERMOST: Final = 1_000  # characters of another daemon's life that a new one begins with
_LOOKS: Final = 1_000  # at a program that is just being loaded, which takes some 100 us


def new_life() -> str:
    """One that no other start of a root has.

    Started by an agent's program, it is a part of that agent's life: all of it ends with that.
    """
    token, outer = uuid.uuid4().hex, os.environ.get(LIFE, "")
    return f"{outer}/{token}" if 0 < len(outer) < _OUTERMOST else token


def life_below(life: str, child: str, start: int | str) -> str:
    """That of a child in its ``start``-th incarnation; ``life`` is its supervisor's."""
    return f"{life}/{child}.{start}"


class Badge:
    """Worn by this process, and by all that it starts from now on."""

    def __init__(self, life: str) -> None:
        self._before = os.environ.get(LIFE)
        os.environ[LIFE] = life
        fd = os.memfd_create(_MAPPED.removeprefix("/memfd:") + life[-_LONGEST:], os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, mmap.PAGESIZE)
            self._mapping = mmap.mmap(
                fd, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ
            )
        finally:
            os.close(fd)

    def take_off(self) -> None:
        """This process goes on without; what it has started keeps its own."""
        self._mapping.close()
        if self._before is None:
            os.environ.pop(LIFE, None)
        else:
            os.environ[LIFE] = self._before


class Marks(msgspec.Struct, frozen=True):
    """What a process shows: the life in its environment, and those mapped in its memory."""

    exported: str = ""
    mapped: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.exported or self.mapped)

    def are_of(self, life: str) -> bool:
        """Whether it belongs to that life, or to one below."""
        # What is mapped is inherited level by level, so that the life itself is among it.
        return (
            self.exported == life
            or self.exported.startswith(f"{life}/")
            or life[-_LONGEST:] in self.mapped
        )


def marks_of(pid: int) -> Marks | None:
    """The marks of a process; None when it is dying or dead."""
    try:
        # In this order: a fork about to run a program has the one until then, the other after.
        mapped = _mapped(pid)
        marks = Marks(_exported(pid), mapped)
        if not marks:
            _program(pid)  # it has shown nothing, for it has no memory any more
    except PermissionError:
        return Marks()  # another user's, by a set-user-id program
    except OSError:
        return None
    return marks


def _program(pid: int | str) -> str:
    """What a process runs.  Raises FileNotFoundError when it is dying, and for the kernel's own."""
    return os.readlink(f"/proc/{pid}/exe")


def _mapped(pid: int) -> frozenset[str]:
    """The lives mapped in its memory, which only what runs the same program can have."""
    if _program(pid) != _program("self"):
        return frozenset()
    maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
    return frozenset(
        line.partition(_MAPPED)[2].removesuffix(" (deleted)")
        for line in maps.splitlines()
        if _MAPPED in line
    )


def _exported(pid: int) -> str:
    """The life in the environment that a process was started with."""
    looks = 0
    while not (environ := Path(f"/proc/{pid}/environ").read_bytes()):
        looks += 1
        if looks > _LOOKS or not _is_being_loaded(pid):
            break
        os.sched_yield()
    for variable in environ.split(b"\0"):
        name, _, value = variable.partition(b"=")
        if name == LIFE.encode():
            return value.decode(errors="replace")
    return ""


def _is_being_loaded(pid: int) -> bool:
    """In the middle of ``exec`` the memory of a process is new and has no environment yet."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    state, env_start = fields[0], fields[47]  # the 3rd and the 50th of proc(5)
    return env_start == b"0" and state not in (b"Z", b"X")
