"""``holdfast events subscribers`` and ``unsubscribe``: who subscribes by name, how far each is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from holdfast.cli.daemon import connected
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, moment, printable, write_line

if TYPE_CHECKING:
    from holdfast.actors.subscriber_calls import Subscriber

__all__ = ["subscribers", "unsubscribe"]


@click.command()
@run_dir_option
@json_option
def subscribers(run_dir: Path, as_json: bool) -> None:
    """Print the named subscribers: where each is and how many numbers lie behind that.

    Retention keeps what a named subscriber has not acknowledged.
    """
    with connected(run_dir) as hub:
        for each in hub.events.subscribers():
            write_line(json.dumps(msgspec.to_builtins(each)) if as_json else _as_text(each))


@click.command()
@click.argument("name")
@run_dir_option
@json_option
def unsubscribe(name: str, run_dir: Path, as_json: bool) -> None:
    """Forget a named subscriber and its position."""
    with connected(run_dir) as hub:
        if not hub.events.unsubscribe(name):
            hint = "`holdfast events subscribers` shows all there are"
            raise Failure(f"no subscriber is named {name!r}: {hint}")
    if as_json:
        write_line(json.dumps({"unsubscribed": name}))


def _as_text(each: Subscriber) -> str:
    wanted = json.dumps(each.filter, ensure_ascii=False) if each.filter else "all events"
    return printable(
        f"{each.name:<20} at {each.acked:>9} lag {each.lag:>9} {moment(each.updated_us)}"
        f" {each.owner} {wanted}"
    )
