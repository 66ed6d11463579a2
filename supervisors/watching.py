"""Looks whether the config file has changed, and has it read again once it stands still.

Owns what was seen last; lost with the root, whose next life reads the file anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.reactor import Timer
from holdfast.supervisors.config_file import ConfigFile, Look

__all__ = ["FileWatch"]

PERIOD: Final = 1.0  # seconds between two looks, and that a file has to stand still


class FileWatch:
    """``changed`` is called for each state in which the file stands still."""

    def __init__(
        self, file: ConfigFile, *, mailbox: Mailbox, known: Look | None, changed: Callable[[], bool]
    ) -> None:
        """``changed``: whether it was taken up; else it is called again at the next look."""
        self._file = file
        self._mailbox = mailbox
        self._known = self._seen = known
        self._changed = changed
        self._timer: Timer | None = None

    def turn(self, is_on: bool) -> None:
        """Look from now on, or no more."""
        if is_on and self._timer is None:
            self._timer = self._mailbox.later(PERIOD, self._look)
        elif not is_on and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def know(self, look: Look | None) -> None:
        """In this state the file was read."""
        self._known = look

    def _look(self) -> None:
        self._timer = self._mailbox.later(PERIOD, self._look)
        before, self._seen = self._seen, self._file.look()
        # An editor writes in pieces, or moves another file to its place: both take a moment.
        # A file that is empty is not written yet.
        is_whole = self._seen is not None and self._seen == before and self._seen[1] > 0
        if is_whole and self._seen != self._known:
            known, self._known = self._known, self._seen
            if not self._changed():
                self._known = known
