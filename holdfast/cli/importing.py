"""``holdfast events import``: a file through the client, every event of it exactly once.

A line's ``id`` is the event's key: what an earlier import stored is counted, not stored again.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from holdfast.cli.daemon import connected
from holdfast.cli.import_formats import FORMATS, Format, Line, lines
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, console, printable, write_line
from holdfast.client import is_there
from holdfast.errors import DeliveryError, InvalidInputError

if TYPE_CHECKING:
    from holdfast.actors.hub import Hub

__all__ = ["import_"]

_SOURCE: Final = "import"  # not the process: keys are unique per source, also in the next import
_BAD_FILE: Final = 3
_SHOWN: Final = 20  # rejected lines that are printed one by one for people
_SHOW_EVERY: Final = 200  # lines; moving the bar costs as much as sending a line
_FLUSH_EVERY: Final = 10_000  # lines; bounds what a daemon that died leaves uncertain


@dataclass(slots=True)
class Counts:
    """What became of the lines; ``committed`` are the newly stored ones.

    ``ignored``: attributes of CloudEvents that events have no place for, and how often.
    """

    read: int = 0
    accepted: int = 0
    committed: int = 0
    duplicates: int = 0
    rejected: list[dict[str, object]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--source", default=_SOURCE, show_default=True, help="Of the lines that do not name theirs."
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="Lines as export writes them, or CloudEvents 1.0: one a line, or a JSON array.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the daemon to commit.",
)
@run_dir_option
@json_option
def import_(
    file: Path, source: str, format_: Format, timeout: float, run_dir: Path, as_json: bool
) -> int:
    """Store the events of a FILE, - for standard input."""
    counts = Counts()
    with _opened(file) as stream, connected(run_dir) as hub:
        try:
            with _progress(file, stream) as advance:
                _send(lines(stream, format_, source=source), hub, timeout, counts, advance)
        except DeliveryError as error:
            code = 1 if is_there(run_dir) else 4
            raise Failure(_broken_off(file, counts, error), code=code) from error
    _report(counts, as_json)
    return _BAD_FILE if counts.rejected else 0


def _send(
    found: Iterator[Line],
    hub: Hub,
    timeout: float,
    counts: Counts,
    advance: Callable[[], None],
) -> None:
    for line in found:
        counts.read += 1
        reason = line.reason if line.arguments is None else _emit(hub, line.arguments)
        if reason is None:
            counts.accepted += 1
            counts.ignored.update(line.ignored)
        else:
            counts.rejected.append({"line": line.number, "reason": reason})
        if counts.read % _SHOW_EVERY == 0:
            advance()
        if counts.read % _FLUSH_EVERY == 0:
            _settle(hub, timeout, counts)
    advance()
    _settle(hub, timeout, counts)


def _emit(hub: Hub, arguments: dict[str, Any]) -> str | None:
    """Send one event; why not, when the client refuses it."""
    try:
        hub.events.emit(**arguments)
    except InvalidInputError as error:
        return str(error)
    return None


def _settle(hub: Hub, timeout: float, counts: Counts) -> None:
    """Wait until everything sent is committed, and count it."""
    hub.flush("committed", timeout=timeout)
    counts.duplicates = hub.events.duplicates
    counts.committed = counts.accepted - counts.duplicates


@contextmanager
def _opened(file: Path) -> Iterator[BufferedReader]:
    if str(file) == "-":
        yield cast(BufferedReader, sys.stdin.buffer)
        return
    try:
        stream = file.open("rb")
        stream.peek(1)  # a directory opens well and fails at the first read
    except OSError as error:
        raise Failure(f"{file}: cannot be read: {error.strerror}", code=_BAD_FILE) from None
    with stream:
        yield stream


@contextmanager
def _progress(file: Path, stream: BufferedReader) -> Iterator[Callable[[], None]]:
    """A bar on standard error while a person watches; what moves it on."""
    if not sys.stderr.isatty() or not stream.seekable():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True)) as progress:
        task = progress.add_task(file.name, total=file.stat().st_size)
        yield lambda: progress.update(task, completed=stream.tell())


def _broken_off(file: Path, counts: Counts, error: DeliveryError) -> str:
    return (
        f"{file}: {error}; of {counts.read} lines read at least {counts.committed} are stored. "
        "Import the file again: lines with an id are stored once"
    )


def _report(counts: Counts, as_json: bool) -> None:
    if as_json:
        write_line(
            json.dumps(
                {
                    "read": counts.read,
                    "accepted": counts.accepted,
                    "committed": counts.committed,
                    "duplicates": counts.duplicates,
                    "rejected": counts.rejected,
                }
                | ({"ignored": dict(counts.ignored)} if counts.ignored else {})
            )
        )
        return
    for rejected in counts.rejected[:_SHOWN]:
        click.echo(f"line {rejected['line']}: {printable(str(rejected['reason']))}", err=True)
    if len(counts.rejected) > _SHOWN:
        click.echo(f"... and {len(counts.rejected) - _SHOWN} more; --json lists all", err=True)
    for name, count in sorted(counts.ignored.items()):
        click.echo(f"attribute {printable(name)} of {count} events has no place here", err=True)
    write_line(
        f"read {counts.read}, accepted {counts.accepted}, committed {counts.committed}, "
        f"duplicates {counts.duplicates}, rejected {len(counts.rejected)}"
    )
