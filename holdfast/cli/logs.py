"""``holdfast logs``: what the processes of a daemon log and print, also of one that has ended."""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from holdfast.cli.completing import complete_actors
from holdfast.cli.daemon import connected, tree_of, walk
from holdfast.cli.logreading import ActorLog, Line, actors_in
from holdfast.cli.nearest import hint
from holdfast.cli.options import TIME, json_option, run_dir_option
from holdfast.cli.output import Failure, console, flush, moment, printable, write_line
from holdfast.errors import DaemonNotFoundError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["logs"]

_PERIOD: Final = 0.1  # seconds between two looks for more
_NEWEST: Final = 100  # lines, where nothing else bounds them
_BESIDE_RUN_DIR: Final = "../lib/log"  # as the defaults of the config have it
_by_time = attrgetter("time_us")
_STYLES: Final = {
    "WARNING": "yellow",
    "ERROR": "red",
    "CRITICAL": "bold red",
    "STDERR": "magenta",
    "DEBUG": "dim",
    "TRACE": "dim",
}


@click.command()
@click.argument("actors", metavar="[ACTOR]...", nargs=-1, shell_complete=complete_actors)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, across restarts.")
@click.option(
    "-n",
    "--lines",
    "count",
    type=click.IntRange(min=0),
    help=f"The newest so many; by default {_NEWEST}, with --since or --until all.",
)
@click.option("--since", type=TIME, help="ISO 8601, seconds since 1970, or 10m, 2h, 1d.")
@click.option("--until", type=TIME, help="As --since; lines before it.")
@run_dir_option
@click.option(
    "--log-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the logs are; the daemon need not run, and is not asked.",
)
@json_option
def logs(
    actors: tuple[str, ...],
    follow: bool,
    count: int | None,
    since: int | None,
    until: int | None,
    run_dir: Path,
    log_dir: Path | None,
    as_json: bool,
) -> None:
    """Print what processes logged and printed, all of them or each ACTOR, by time.

    Standard output and error have the levels STDOUT and STDERR.  The root and the other
    supervisors are actors too.
    """
    folder, running = (log_dir, set()) if log_dir is not None else _found(run_dir)
    there = actors_in(folder)
    for actor in actors:
        if actor not in there and actor not in running:
            raise _missing(actor, folder, running.union(there))
    if count is None and since is None and until is None:
        count = _NEWEST
    readers = {actor: ActorLog(folder, actor) for actor in actors or there}
    show = _printer(as_json)
    try:
        for line in _past(readers, count, _Period(since, until)):
            show(line)
        if follow:
            for line in _future(readers, None if actors else folder, _Period(since, until)):
                show(line)
    except OSError as error:
        raise Failure(f"{error.filename or folder}: cannot be read: {error.strerror}") from None
    finally:
        for reader in readers.values():
            reader.close()


def _missing(actor: str, folder: Path, there: set[str]) -> Failure:
    return Failure(f"no log of {actor!r} in {folder}; {hint(actor, there)}")


class _Period(NamedTuple):
    """The times that were asked for, in microseconds since 1970."""

    since: int | None
    until: int | None

    def holds(self, line: Line) -> bool:
        """Whether the line is of one of them."""
        return (self.since is None or line.time_us >= self.since) and (
            self.until is None or line.time_us < self.until
        )


def _found(run_dir: Path) -> tuple[Path, set[str]]:
    """Where the logs are, and the actors of the daemon that writes them, if it runs."""
    beside = run_dir / _BESIDE_RUN_DIR
    try:
        with connected(run_dir) as hub:
            tree = tree_of(hub)
    except DaemonNotFoundError:
        if beside.is_dir():
            return beside, set()
        raise DaemonNotFoundError(
            f"no daemon at {run_dir} that could say where its logs are, and none in {beside}: "
            "name their directory with --log-dir"
        ) from None
    return Path(tree.log_dir) if tree.log_dir else beside, {
        child.id for _, child in walk(tree.root)
    }


def _past(readers: dict[str, ActorLog], count: int | None, period: _Period) -> Iterable[Line]:
    """What is there, by time; at most ``count`` of it, the newest."""
    found: Iterable[list[Line]] | Iterable[Iterator[Line]]
    if count is None or period.until is not None:
        found = [reader.all(period.since) for reader in readers.values()]
    else:  # as many of each: more of one are never among the newest of all
        found = [reader.newest(count) for reader in readers.values()]
    wanted = filter(period.holds, heapq.merge(*found, key=_by_time))
    return wanted if count is None else deque(wanted, maxlen=count)


def _future(readers: dict[str, ActorLog], folder: Path | None, period: _Period) -> Iterator[Line]:
    """What comes, by time as far as it comes together; of new actors in ``folder`` too."""
    flush()
    while True:
        if folder is not None:
            for actor in actors_in(folder):
                readers.setdefault(actor, ActorLog(folder, actor))
        lines = [line for reader in readers.values() for line in reader.news()]
        lines.sort(key=_by_time)
        yield from filter(period.holds, lines)
        flush()
        if not lines:
            time.sleep(_PERIOD)


def _printer(as_json: bool) -> Callable[[Line], None]:
    if as_json:
        return lambda line: write_line(_as_json(line))
    if sys.stdout.isatty():
        terminal = console()
        return lambda line: _show(terminal, line)
    return lambda line: write_line(printable(line.raw))


def _show(terminal: Console, line: Line) -> None:
    style = _STYLES.get(line.level)
    terminal.print(printable(line.raw), style=style, soft_wrap=True)


def _as_json(line: Line) -> str:
    return json.dumps(
        {
            "time": moment(line.time_us),
            "level": line.level,
            "actor": line.actor,
            "pid": line.pid,
            "text": line.text,
        }
    )
