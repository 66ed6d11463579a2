"""One line on standard error that changes; where nobody watches, a line each time.

Owns the state of the terminal's last line, and gives it back.
"""

from __future__ import annotations

import os
import sys

import click

from holdfast.cli.output import printable

__all__ = ["ChangingLine"]


class ChangingLine:
    """``is_terminal`` says which of the two it is."""

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        self._is_dirty = False  # a line without an end stands on the terminal

    def show(self, text: str) -> None:
        """This, in place of what is there; cut where the screen ends: a second line would stay."""
        if not self.is_terminal:
            click.echo(printable(text), err=True)
            return
        shown = printable(text)[: _columns() - 1]
        click.echo(f"\r{shown}\x1b[K", nl=False, err=True)
        self._is_dirty = True

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._is_dirty:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._is_dirty = False


def _columns() -> int:
    """Of standard error, wherever standard output goes."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and int(given) > 1:
        return int(given)
    try:
        return max(2, os.get_terminal_size(sys.stderr.fileno()).columns)
    except OSError:
        return 80
