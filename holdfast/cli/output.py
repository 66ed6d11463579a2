"""What commands print: lines on standard output, whoever reads them and for however long.

A reader that closes the pipe (``| head``) has had what it wanted: the command ends, quietly.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NoReturn

import click

from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Failure",
    "console",
    "flush",
    "moment",
    "printable",
    "printable_lines",
    "unwritable",
    "write_line",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PIPE_WIDTH: Final = 160  # columns of a table that nobody sees on a terminal
# JSON text may hold these as they are, and some terminals take them for orders; written so it means
# the same.  All else that is no text is an escape in JSON, and in lines for people ``printable``.
_STEERING: Final = {
    number: f"\\u{number:04x}"
    for numbers in (range(0x7F, 0xA0), range(0x202A, 0x202F), range(0x2066, 0x206A))
    for number in numbers
}


class Failure(HoldfastError):
    """The command cannot go on; the message says why, ``code`` is the exit code."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def write_line(text: str) -> None:
    """Print ``text`` as one line of UTF-8; JSON, or what is printable."""
    try:
        sys.stdout.buffer.write(text.translate(_STEERING).encode(errors="backslashreplace") + b"\n")
    except BrokenPipeError:
        _reader_left()
    except OSError as error:
        raise unwritable(error) from None


def flush() -> None:
    """Hand over what was printed."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_left()
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> Failure:
    """Standard output takes nothing more: its disk is full, as a rule."""
    _let_go()
    return Failure(f"standard output cannot be written: {error.strerror}")


def _reader_left() -> NoReturn:
    _let_go()
    raise click.exceptions.Exit(0)


def _let_go() -> None:
    # What is still buffered goes nowhere; the interpreter's own flush at exit would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console(*, stderr: bool = False) -> Console:
    """A rich console that takes text as it is; it knows terminals and NO_COLOR."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    # Of its own accord rich would keep bold and underlined.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            _reader_left()

    return Screen(
        file=stream,
        width=width,
        color_system=colours,
        highlight=False,
        markup=False,
        emoji=False,
    )


def moment(time_us: int) -> str:
    """Microseconds since 1970 as UTC text."""
    try:
        time = _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:  # beyond the year 9999
        return f"{time_us}us"
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def printable(text: str) -> str:
    """``text`` with what could steer a terminal written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """As ``printable``, but that line ends and tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))
