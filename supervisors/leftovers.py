"""What ended lives leave behind: the processes that this one, a subreaper, inherits from them.

Owns which of them were killed and are not reaped yet.  Lost with its supervisor: nothing, for
whoever adopts them then finds them by the same marks.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress

from holdfast.supervisors.lives import marks_of

__all__ = ["Leftovers"]


class Leftovers:
    """SIGKILLs what belongs to a life that is over; the supervisor reaps it."""

    def __init__(self) -> None:
        self.groups: set[int] = set()  # led by the children that live
        self._killed: set[int] = set()

    def reaped(self, pid: int) -> None:
        """A process that was inherited, or was a child, is no more."""
        self._killed.discard(pid)
        self.groups.discard(pid)

    def kill(
        self, inherited: Iterable[int], *, life: str, group: int = 0, strays_in: int = 0
    ) -> bool:
        """SIGKILL what is of ``life`` or of a process group; whether there was anything.

        So is what dies by itself: it may be of that life, and still hold something.  ``strays_in``
        is a session in which what has no mark, and is in no living child's group, goes as well: an
        agent below a supervisor that has died may have started it with an empty environment.
        """

        def is_meant(pid: int) -> bool:
            if os.getpgid(pid) == group:
                return True
            marks = marks_of(pid)
            if marks is None or marks.are_of(life):
                return True
            is_stray = not marks and os.getpgid(pid) not in self.groups
            return is_stray and os.getsid(pid) == strays_in

        return self._kill(inherited, is_meant, group)

    def kill_all(self, inherited: Iterable[int]) -> bool:
        """SIGKILL whatever it is; whether there was anything."""
        return self._kill(inherited, lambda _: True, 0)

    def _kill(self, inherited: Iterable[int], is_meant: Callable[[int], bool], group: int) -> bool:
        found = False
        # They are this process's own children, which nobody else can reap: no pid here is recycled,
        # and a group that one of them is in cannot be another's.
        for pid in inherited:
            if pid in self._killed:
                found = True
            elif is_meant(pid):
                # One of another user (sudo) cannot be killed, and is not waited for.
                with suppress(PermissionError):
                    os.kill(pid, signal.SIGKILL)
                    self._killed.add(pid)
                    found = True
                if os.getpgid(pid) == group:
                    with suppress(PermissionError):
                        os.killpg(group, signal.SIGKILL)
        return found
