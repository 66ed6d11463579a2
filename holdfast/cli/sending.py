"""``holdfast send`` and ``events emit``: one message to an actor, one event, from a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click
import msgspec

from holdfast.actors.messages.query import DeadLettersAre, ListDeadLetters
from holdfast.cli.completing import complete_actors
from holdfast.cli.daemon import connected, tree_of, walk
from holdfast.cli.nearest import hint
from holdfast.cli.options import JSON, ask_timeout, json_option, run_dir_option
from holdfast.cli.output import Failure, write_line
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.hub import Hub

__all__ = ["emit", "send"]

NEWEST: Final = 100  # dead letters that are looked at


@click.command()
@click.argument("actor", shell_complete=complete_actors)
@click.argument("message", metavar="JSON", type=JSON)
@click.option("--ask", "is_ask", is_flag=True, help="Wait for the answer and print it, as JSON.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0),
    default=30.0,
    show_default=True,
    help="Seconds until it has to be handled.",
)
@run_dir_option
@json_option
def send(
    actor: str, message: object, is_ask: bool, timeout: float, run_dir: Path, as_json: bool
) -> None:
    """Send ACTOR a message, an agent as a rule, and wait until it is handled.

    JSON is what ACTOR receives; - reads it from standard input.  Told, a message that is not
    handled in time is lost with this program; with --ask, an exception there is printed here.
    """
    with connected(run_dir) as hub:
        _check(hub, actor)
        if is_ask:
            answer = hub.ref(actor).ask(message, timeout=timeout)
            write_line(jsontext.encode(answer))
            return
        hub.ref(actor).tell(message)
        hub.flush(timeout=timeout)
        _check_is_no_letter(hub, actor)
    write_line(json.dumps({"actor": actor, "handled": True}) if as_json else f"{actor} handled it")


def _check(hub: Hub, actor: str) -> None:
    """That there is one: a message to nobody would wait for somebody of that name."""
    names = [each.id for _, each in walk(tree_of(hub).root)]
    if actor not in names:
        raise Failure(f"no actor {actor!r}; {hint(actor, names)}")


def _check_is_no_letter(hub: Hub, actor: str) -> None:
    """That it was handled: what killed ACTOR twice, or came to one that is gone, is kept."""
    letters = hub.ask("query", ListDeadLetters(NEWEST), timeout=ask_timeout)
    for letter in msgspec.convert(letters, DeadLettersAre).letters:
        if (letter.actor, letter.sender) == (actor, hub._driver.sender):
            raise Failure(
                f"{actor!r} did not handle it: {letter.reason}; it is dead letter {letter.id}: "
                f"`holdfast deadletters show {letter.id}`"
            )


@click.command()
@click.argument("type")
@click.argument("data", metavar="[JSON]", type=JSON, default="null")
@click.option("--session", help="The session that it belongs to.")
@click.option("--source", default="cli", show_default=True, help="Who it is from.")
@click.option("--subject", help="What it is about.")
@click.option("--correlation", help="What it is part of: `holdfast trace` finds it by that.")
@click.option("--cause", help="The key of the event that led to it.")
@click.option("--key", help="Unique for its source: a second event with it is not stored.")
@click.option(
    "--level",
    type=click.Choice(["committed", "disk"]),
    default="committed",
    show_default=True,
    help="What it has to survive before this returns.",
)
@run_dir_option
@json_option
def emit(
    type: str,
    data: object,
    session: str | None,
    source: str,
    subject: str | None,
    correlation: str | None,
    cause: str | None,
    key: str | None,
    level: Literal["committed", "disk"],
    run_dir: Path,
    as_json: bool,
) -> None:
    """Emit an event of TYPE with JSON for its data; - reads that from standard input.

    Returns when it is safe; exit code 0 also when an event with its key and source is there
    already, which is said.
    """
    with connected(run_dir) as hub:
        hub.events.emit(
            type,
            data,
            session=session,
            source=source,
            subject=subject,
            correlation=correlation,
            cause=cause,
            key=key,
        )
        hub.flush(level, timeout=ask_timeout)
        is_new = hub.events.duplicates == 0
    if as_json:
        write_line(json.dumps({"type": type, "key": key, "level": level, "new": is_new}))
    else:
        write_line(level if is_new else f"{level}, and was there already")
