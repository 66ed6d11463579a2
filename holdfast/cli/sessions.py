"""``holdfast sessions``: look at the sessions that live, put one, and end one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click
import msgspec

from holdfast.cli.daemon import connected
from holdfast.cli.groups import Commands
from holdfast.cli.options import JSON, PERIOD, ask_timeout, json_option, run_dir_option
from holdfast.cli.output import Failure, moment, printable, write_line
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.session_calls import Session

__all__ = ["sessions"]

_PAGE: Final = 1_000  # sessions asked for at a time
_TIMES: Final = ("created_us", "touched_us", "expires_us")
_FIELDS: Final = ("id", "version", "owner", "items", *_TIMES, "ttl", "max_age")

_limit = click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
_owner = click.option("--owner", help="Only those that this one owns.")


@click.group(cls=Commands)
def sessions() -> None:
    """What conversations know, until their time is over."""


@sessions.command("list")
@_limit
@_owner
@click.option("--after", help="Begin behind this id.")
@run_dir_option
@json_option
def list_(limit: int, owner: str | None, after: str | None, run_dir: Path, as_json: bool) -> None:
    """Print the sessions that live, in order of their ids."""
    _print("", limit, owner, after, run_dir, as_json)


@sessions.command()
@click.argument("prefix")
@_limit
@_owner
@click.option("--after", help="Begin behind this id.")
@run_dir_option
@json_option
def search(
    prefix: str, limit: int, owner: str | None, after: str | None, run_dir: Path, as_json: bool
) -> None:
    """Print the sessions whose id begins with PREFIX."""
    _print(prefix, limit, owner, after, run_dir, as_json)


@sessions.command()
@click.argument("id")
@click.option("--items", type=click.IntRange(min=0), default=20, show_default=True, help="Newest.")
@run_dir_option
@json_option
def show(id: str, items: int, run_dir: Path, as_json: bool) -> None:
    """Print one session: its data and its newest items."""
    with connected(run_dir) as hub:
        session = hub.sessions.get(id, timeout=ask_timeout)
        if session is None:
            raise Failure(f"no session {id!r}: it has ended, or never was")
        found = (
            hub.sessions.items(id, limit=items, reverse=True, timeout=ask_timeout)[::-1]
            if items
            else []
        )
    object_ = _as_object(session)
    if as_json:
        shown = [{"number": i.number, "time_us": i.time_us, "key": i.key} for i in found]
        for one, item in zip(shown, found, strict=True):
            one["data"] = json.loads(jsontext.encode(item.data))
        data = json.loads(jsontext.encode(session.data))
        write_line(json.dumps(object_ | {"data": data, "newest_items": shown}))
        return
    for name, value in object_.items():
        text = moment(value) if name in _TIMES and isinstance(value, int) else str(value)
        write_line(f"{name.removesuffix('_us'):<9}{printable(text)}")
    write_line(f"data     {printable(jsontext.encode(session.data))}")
    for item in found:
        line = f"{item.number:>5} {moment(item.time_us)} {jsontext.encode(item.data)}"
        write_line(printable(line))


@sessions.command()
@click.argument("id")
@run_dir_option
@json_option
def get(id: str, run_dir: Path, as_json: bool) -> None:
    """Print the data of one session, which is JSON; --json changes nothing."""
    with connected(run_dir) as hub:
        session = hub.sessions.get(id, timeout=ask_timeout)
    if session is None:
        raise Failure(f"no session {id!r}: it has ended, or never was")
    write_line(jsontext.encode(session.data))


@sessions.command()
@click.argument("id")
@click.argument("data", metavar="JSON", type=JSON)
@click.option("--ttl", type=PERIOD, help="It ends when nobody touched it for so long.")
@click.option("--max-age", type=PERIOD, help="It ends so long after it began.")
@click.option("--expected-version", help='Refused at another version; "" where one is there.')
@click.option("--owner", help="In this name; it is then owned by it.")
@click.option(
    "--durability",
    type=click.Choice(["memory", "committed", "disk"]),
    default="committed",
    show_default=True,
    help="What it has to survive before this returns.",
)
@run_dir_option
@json_option
def put(
    id: str,
    data: object,
    ttl: float | None,
    max_age: float | None,
    expected_version: str | None,
    owner: str | None,
    durability: Literal["memory", "committed", "disk"],
    run_dir: Path,
    as_json: bool,
) -> None:
    """Create or replace a session, and print its new version; - reads JSON from standard input."""
    with connected(run_dir) as hub:
        version = hub.sessions.put(
            id,
            data,
            ttl=ttl,
            max_age=max_age,
            expected_version=expected_version,
            owner=owner,
            durability=durability,
            timeout=ask_timeout,
        )
    write_line(json.dumps({"id": id, "version": version}) if as_json else version)


@sessions.command()
@click.argument("id")
@click.option("--owner", help="In this name, if somebody owns it.")
@run_dir_option
@json_option
def end(id: str, owner: str | None, run_dir: Path, as_json: bool) -> None:
    """End a session with the reason "closed", items included."""
    with connected(run_dir) as hub:
        if not hub.sessions.end(id, owner=owner, timeout=ask_timeout):
            raise Failure(f"no session {id!r}: it has ended, or never was")
    write_line(
        json.dumps({"id": id, "ended": True}) if as_json else printable(f"session {id} ended")
    )


@sessions.command()
@run_dir_option
@json_option
def stats(run_dir: Path, as_json: bool) -> None:
    """Print how many there are, and how what stands in front of the database is."""
    with connected(run_dir) as hub:
        found = hub.sessions.stats(timeout=ask_timeout)
    if as_json:
        reads = msgspec.structs.asdict(found.reads)
        write_line(json.dumps({**msgspec.structs.asdict(found), "reads": reads}))
        return
    lines = [
        f"{found.stored:,} in the database, {found.stored_bytes:,} bytes",
        f"{found.cached:,} of at most {found.maxsize:,} in memory, {found.bytes:,} bytes",
        f"{found.unwritten:,} not written yet",
    ]
    if found.front:
        lines.append(f"{found.front}: {found.front_problem or 'there'}")
        lines.append(f"  lost or not reached {found.front_failures:,} times")
        lines.append(f"  {found.recovered:,} recovered from it at the start")
    if found.damaged:
        lines.append(f"{found.damaged:,} attempts to read what cannot be read")
    for line in lines:
        write_line(printable(line))


def _print(
    prefix: str,
    limit: int,
    owner: str | None,
    after: str | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    with connected(run_dir) as hub:
        cursor, left = after, limit
        while left:
            page = hub.sessions.search(
                prefix, limit=min(left, _PAGE), cursor=cursor, owner=owner, timeout=ask_timeout
            )
            now = time.time()
            for session in page:
                write_line(json.dumps(_as_object(session)) if as_json else _line(session, now))
            cursor, left = page.cursor, left - len(page)
            if cursor is None:
                return


def _as_object(session: Session) -> dict[str, object]:
    return {name: getattr(session, name) for name in _FIELDS}


def _line(session: Session, now: float) -> str:
    left = session.expires_us / 1e6 - now
    owner = f" owned by {session.owner}" if session.owner else ""
    counted = f" {session.items} items" if session.items else ""
    return printable(f"{session.id}  {left:,.0f} s left{counted}{owner}")
