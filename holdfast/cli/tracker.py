"""``holdfast tracker``: what is in flight, and the rate limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click
import msgspec

from holdfast.cli.daemon import connected
from holdfast.cli.groups import Commands
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, moment, printable, write_line
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.tracker_calls import Request, Status

__all__ = ["tracker"]

_STATUSES: Final = (
    "running",
    "interrupted",
    "retrying",
    "finished",
    "failed",
    "cancelled",
    "expired",
)


@click.group(cls=Commands)
def tracker() -> None:
    """Look at requests in flight and rate limits."""


@tracker.command("list")
@click.option("--status", type=click.Choice(_STATUSES), multiple=True, help="More than once: any.")
@click.option("--kind", default="", help="Only those of a kind.")
@click.option("--owner", default="", help="Only those of an owner.")
@click.option("--limit", type=click.IntRange(min=1), default=1_000, show_default=True)
@run_dir_option
@json_option
def list_(
    status: tuple[str, ...], kind: str, owner: str, limit: int, run_dir: Path, as_json: bool
) -> None:
    """Print the requests, in the order in which they began."""
    wanted = cast("tuple[Status, ...]", status)
    with connected(run_dir) as hub:
        found = hub.tracker.list(status=wanted, kind=kind, owner=owner, limit=limit)
    for request in found:
        write_line(_as_json(request) if as_json else _as_line(request))


@tracker.command()
@click.argument("id")
@run_dir_option
@json_option
def show(id: str, run_dir: Path, as_json: bool) -> None:
    """Print one request."""
    with connected(run_dir) as hub:
        request = hub.tracker.get(id)
    if request is None:
        raise Failure(f"no request {id!r}: `holdfast tracker list` shows what there is")
    if as_json:
        write_line(_as_json(request))
        return
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if name.endswith("_us"):
            text = "" if value is None else moment(value)
        else:
            text = value if isinstance(value, str) else jsontext.encode(value)
        write_line(printable(f"{name.removesuffix('_us'):<12}{text}".rstrip()))


@tracker.command()
@run_dir_option
@json_option
def limits(run_dir: Path, as_json: bool) -> None:
    """Print the rate limits, and what each would let pass now."""
    with connected(run_dir) as hub:
        found = hub.tracker.limits()
    for one in found:
        limit = msgspec.to_builtins(one.limit)
        if as_json:
            fields = {name: getattr(one, name) for name in one.__struct_fields__}
            write_line(json.dumps(fields | {"limit": limit}))
            continue
        kind = limit.pop("kind")
        text = " ".join(f"{name}={value}" for name, value in limit.items())
        write_line(
            printable(
                f"{one.key:<24} {kind:<15} {text:<28} available {one.available}, waiting "
                f"{one.waiting}, granted {one.granted}, refused {one.refused}"
            )
        )


def _as_json(request: Request) -> str:
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return jsontext.encode(fields)


def _as_line(request: Request) -> str:
    reason = f"  {request.reason}" if request.reason else ""
    return printable(
        f"{moment(request.began_us)} {request.status:<12} {request.kind:<16} {request.owner:<20} "
        f"{request.id}{reason}"
    )
