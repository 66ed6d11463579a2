"""What each thing looks like as text: columns that fit a width, lines of events and sessions.

Pure; nothing here knows the terminal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec
from rich.cells import cell_len, set_cell_size

from holdfast.actors.event_calls import Event
from holdfast.actors.handling import bound
from holdfast.actors.messages.supervisor import ChildStatus, LastExit, Report
from holdfast.actors.session_calls import Session
from holdfast.cli.logreading import Line
from holdfast.cli.output import printable
from holdfast.top.rates import Row

__all__ = [
    "Column",
    "clipped",
    "detail",
    "event_line",
    "fitting",
    "header",
    "line",
    "log_line",
    "session_line",
    "span",
    "style_of",
]

FULL: Final = 30  # characters of a bar, where there is room


class Column(NamedTuple):
    """``rank``: the lower, the longer it stays when the screen gets narrow."""

    name: str
    width: int
    rank: int
    text: Callable[[Row], str]
    is_number: bool = True


def _number(value: float) -> str:
    for unit in ("", "k", "M"):
        if value < 999.5:
            return f"{value:.0f}{unit}" if value >= 10 or not unit else f"{value:.1f}{unit}"
        value /= 1000
    return f"{value:.1f}G"


def _rate(value: float) -> str:
    return "" if not value else f"{value:.1f}" if value < 9.95 else _number(value)


def _seconds(value: float) -> str:
    if not value:
        return ""
    if value < 0.000_9995:
        return f"{value * 1e6:.0f}us"
    if value < 0.9995:
        return f"{value * 1e3:.3g}ms"
    return f"{value:.3g}s"


def span(seconds: float) -> str:
    """A length of time in its largest unit."""
    whole = max(0, round(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def _ago(at: float) -> str:
    return span(time.time() - at)


def _exit(last: LastExit | None) -> str:
    if last is None:
        return ""
    number = last.code if last.signal is None else last.signal
    return f"{last.kind}{'' if number is None else f' {number}'}, {_ago(last.at)} ago"


COLUMNS: Final = (
    Column("pid", 7, 6, lambda row: "" if row.child.pid is None else str(row.child.pid)),
    Column("state", 8, 0, lambda row: row.child.state, is_number=False),
    Column("life", 5, 9, lambda row: str(row.child.incarnation)),
    Column("rst", 4, 2, lambda row: _number(row.child.restarts) if row.child.restarts else ""),
    Column("wait", 5, 5, lambda row: _number(row.child.mailbox) if row.child.mailbox else ""),
    Column("msg/s", 6, 1, lambda row: _rate(row.rate)),
    Column("p50", 6, 7, lambda row: _seconds(row.p50)),
    Column("p99", 6, 4, lambda row: _seconds(row.p99)),
    Column("cpu%", 5, 3, lambda row: f"{100 * row.cpu:.1f}" if row.cpu >= 0.0005 else ""),
    Column("MiB", 5, 8, lambda row: f"{row.child.rss / 2**20:.0f}" if row.child.rss else ""),
    Column("last exit", 22, 10, lambda row: _exit(row.child.last_exit), is_number=False),
)
LEAST: Final = 14  # characters for the names


def fitting(width: int, names: int) -> tuple[int, list[Column]]:
    """The width for names as long as ``names``, and the columns that are shown beside them."""
    room = width - max(LEAST, min(names, 28))
    shown = []
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        if column.width + 1 <= room:
            shown.append(column)
            room -= column.width + 1
    taken = sum(column.width + 1 for column in shown)
    return width - taken, [column for column in COLUMNS if column in shown]


def clipped(text: str, width: int) -> str:
    """Exactly so many cells of a screen; what does not fit ends in a mark."""
    room = width - cell_len(text)
    if room >= 0:
        return text + " " * room
    return set_cell_size(text, max(0, width - 1)) + "…"[:width]


def _cells(first: str, width: int, cells: Iterable[tuple[Column, str]]) -> str:
    rest = (
        clipped(text, column.width).strip().rjust(column.width)
        if column.is_number
        else clipped(text, column.width)
        for column, text in cells
    )
    return " ".join([clipped(first, width), *rest])


def header(width: int, columns: list[Column]) -> str:
    """The names of the columns."""
    return _cells("actor", width, ((column, column.name) for column in columns))


def line(row: Row, width: int, columns: list[Column]) -> str:
    """One process."""
    name = row.branch + row.child.id
    return _cells(name, width, ((column, column.text(row)) for column in columns))


def style_of(row: Row) -> str:
    """Who does not run stands out, and so does who has died in the last minute."""
    last = row.child.last_exit
    if row.child.state != "running":
        return "bold red" if row.child.state in ("fatal", "backoff") else "yellow"
    if row.child.busy >= 1.0 or (last is not None and time.time() - last.at < 60):
        return "yellow"
    return ""


def event_line(event: Event, width: int) -> str:
    """Number, time of day, type, where it is from, data."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.time_us / 1e6))
    data = msgspec.json.encode(event.data, enc_hook=repr).decode(errors="replace")
    of = event.subject or event.session or event.source
    where = f" {of}" if width >= 70 and of else ""
    return clipped(printable(f"{event.seq} {clock} {event.type}{where} {data}"), width)


def session_line(session: Session, width: int) -> str:
    """Id, how long it lives on, owner, items."""
    left = session.expires_us / 1e6 - time.time()
    lives = f"{span(left)} left"
    more = f"  owner {session.owner}" if session.owner else ""
    more += f"  {session.items} items" if session.items else ""
    return clipped(printable(f"{session.id}  {lives}{more}"), width)


def log_line(line: Line) -> str:
    """When, how grave, what."""
    clock = time.strftime("%H:%M:%S", time.localtime(line.time_us / 1e6))
    return f"{clock} {line.level} {line.text}"


def detail(row: Row, reports: list[Report], lines: list[str], *, width: int) -> list[str]:
    """All that is known of one process: figures, handlers, exits, the newest report, its log."""
    child, traffic = row.child, row.child.traffic
    found = [
        f"{child.id}  {child.state}  pid {child.pid or '-'}  life {child.incarnation}",
        f"restarts {child.restarts} ({child.restart})  up {span(child.uptime)}",
        f"waiting {child.mailbox}  handled {child.handled}  {_rate(row.rate) or '0'}/s",
        f"p50 {_seconds(row.p50) or '-'}  p99 {_seconds(row.p99) or '-'}",
        f"cpu {100 * row.cpu:.1f} %, {child.cpu:.2f} s  memory {child.rss / 2**20:.1f} MiB",
        f"senders {traffic.senders}  not acknowledged {traffic.pending}  dropped {traffic.dropped}",
    ]
    hand = f", in hand for {child.busy:.1f} s" if child.busy >= 0.1 else ""
    found.append(f"last message {printable(child.last_message) or '-'}{hand}")
    found += ["", "handlers of this life", *_bars(child, width)]
    found += ["", "exits", *(f"  {_exit(last)}" for last in reversed(child.exits))]
    found += [] if child.exits else ["  none"]
    for report in reversed(reports):
        if report.child == child.id and report.kind != "progress":
            found += ["", f"{report.kind}, {_ago(report.time_us / 1e6)} ago"]
            found += [f"  {printable(part)}" for part in report.text.splitlines()]
            found += _told(report)
            break
    found += ["", "log", *(f"  {printable(part)}" for part in lines)]
    return found if lines else [*found, "  nothing"]


def _told(report: Report) -> list[str]:
    """The traceback that a process left, or the stack it had when it hung."""
    text = report.data.get("failure") or ""
    if not isinstance(text, str) or text.strip() in report.text:
        return []
    return [f"  {printable(part)}" for part in text.splitlines()]


def _bars(child: ChildStatus, width: int) -> list[str]:
    full = max(4, min(FULL, width - 24))
    most = max(child.handling, default=0)
    return [
        f"  < {_seconds(bound(bucket)):>6} {count:>9} {'#' * -(-full * count // most)}"
        for bucket, count in enumerate(child.handling)
        if count
    ] or ["  none yet"]
