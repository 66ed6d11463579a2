"""Whether this process is the one that made a connection, or a fork of it.

Owns a count that the kernel could tell as well, but only for a system call each time.
"""

from __future__ import annotations

import os
from typing import Final

__all__ = ["forks"]


class _Forks:
    """How many forks lie between this process and the one that imported this first."""

    def __init__(self) -> None:
        self.count = 0
        os.register_at_fork(after_in_child=self._note)

    def _note(self) -> None:
        self.count += 1


forks: Final = _Forks()  # a fact about the process, like its pid; nobody else writes it
