"""``holdfast deadletters``: look at what could not be delivered, send it again, or let it go."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from holdfast.actors.messages.query import (
    DeadLetterIs,
    DeadLettersAre,
    GetDeadLetter,
    ListDeadLetters,
)
from holdfast.actors.messages.writer import DiscardDeadLetter, Discarded
from holdfast.cli.daemon import connected, tree_of, walk
from holdfast.cli.groups import Commands
from holdfast.cli.options import ask_timeout, json_option, run_dir_option
from holdfast.cli.output import Failure, moment, printable, write_line
from holdfast.errors import AskTimeoutError, InvalidInputError
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.hub import Hub
    from holdfast.storage.records import DeadLetter

__all__ = ["deadletters"]

_SHOWN: Final = 100  # characters of the message in a line for people
_FIELDS: Final = (
    "id",
    "time_us",
    "actor",
    "sender",
    "incarnation",
    "stream",
    "number",
    "kind",
    "reason",
    "deaths",
)
# Its tells are numbered by their events: a letter sent as one message would be refused.
_EVENT_LOG: Final = "log"


@click.group(cls=Commands)
def deadletters() -> None:
    """Messages that could not be delivered."""


@deadletters.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@run_dir_option
@json_option
def list_(limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the newest dead letters, the newest first."""
    with connected(run_dir) as hub:
        reply = hub.ask("query", ListDeadLetters(limit), timeout=ask_timeout)
    for letter in msgspec.convert(reply, DeadLettersAre).letters:
        write_line(json.dumps(_as_object(letter)) if as_json else _as_text(letter))


@deadletters.command()
@click.argument("id", type=click.IntRange(min=1))
@run_dir_option
@json_option
def show(id: int, run_dir: Path, as_json: bool) -> None:
    """Print one dead letter; with --json its body too, as base64."""
    with connected(run_dir) as hub:
        letter = _found(hub, id)
    object_ = _as_object(letter)
    if as_json:
        write_line(json.dumps(object_ | {"body": base64.b64encode(letter.body).decode()}))
        return
    object_["time_us"] = moment(letter.time_us)
    for name, value in object_.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        write_line(f"{name.removesuffix('_us'):<12}{printable(text)}")


@deadletters.command()
@click.argument("id", type=click.IntRange(min=1))
@run_dir_option
@json_option
def retry(id: int, run_dir: Path, as_json: bool) -> None:
    """Send a dead letter to its actor again; it is discarded once that has handled it.

    Refused when the actor has ended and is not restarted.
    """
    with connected(run_dir) as hub:
        letter = _found(hub, id)
        if letter.actor == _EVENT_LOG:
            raise Failure(f"dead letter {id} holds events: emit them again from its message")
        if not letter.body:
            raise Failure(f"dead letter {id} was kept without its message, which was too large")
        _check_is_there(hub, letter)
        # As it was: what is decoded and encoded again need not be the same.
        hub.ref(letter.actor).tell(msgspec.Raw(letter.body))
        try:
            hub.flush(timeout=ask_timeout)
        except AskTimeoutError:
            raise Failure(
                f"{letter.actor!r} has not handled dead letter {id} within {ask_timeout:.0f} s, "
                "but it may yet; the letter is kept: look at `holdfast status`"
            ) from None
        _discard(hub, id)
        if hub.counters()[letter.actor].dropped:
            raise Failure(
                f"{letter.actor!r} has ended meanwhile and is not restarted: dead letter {id} is "
                "one again, under a new id"
            )
    _tell(as_json, {"id": id, "actor": letter.actor, "retried": True})


@deadletters.command()
@click.argument("id", type=click.IntRange(min=1))
@run_dir_option
@json_option
def discard(id: int, run_dir: Path, as_json: bool) -> None:
    """Delete a dead letter for good."""
    with connected(run_dir) as hub:
        letter = _found(hub, id)
        _discard(hub, id)
    _tell(as_json, {"id": id, "actor": letter.actor, "discarded": True})


def _check_is_there(hub: Hub, letter: DeadLetter) -> None:
    """Raise Failure when its actor is gone for good: the letter would only get another id."""
    for _, supervisor in walk(tree_of(hub).root):
        for gone in supervisor.gone:
            if gone.id == letter.actor:
                raise Failure(
                    f"{gone.id!r} is gone: it ended ({gone.how}) and is not restarted; "
                    f"dead letter {letter.id} is kept until the actor runs again"
                )


def _found(hub: Hub, id: int) -> DeadLetter:
    reply = hub.ask("query", GetDeadLetter(id), timeout=ask_timeout)
    letter = msgspec.convert(reply, DeadLetterIs).letter
    if letter is None:
        raise Failure(f"no dead letter {id}: `holdfast deadletters list` shows what there is")
    return letter


def _discard(hub: Hub, id: int) -> None:
    """Whoever discards it at the same time has done the same: that it existed is not asked."""
    reply = hub.ask("writer", DiscardDeadLetter(id), timeout=ask_timeout)
    msgspec.convert(reply, Discarded)


def _as_object(letter: DeadLetter) -> dict[str, object]:
    fields: dict[str, object] = {name: getattr(letter, name) for name in _FIELDS}
    return fields | {"bytes": len(letter.body), "message": _message(letter)}


def _message(letter: DeadLetter) -> object:
    """What JSON can say of the body; None where it cannot."""
    try:
        return json.loads(jsontext.encode(msgspec.msgpack.decode(letter.body)))
    except (msgspec.MsgspecError, InvalidInputError, ValueError, RecursionError):
        return None


def _as_text(letter: DeadLetter) -> str:
    message = json.dumps(_message(letter), ensure_ascii=False)
    if len(message) > _SHOWN:
        message = message[: _SHOWN - 3] + "..."
    head = f"{letter.id:>5} {moment(letter.time_us)} {letter.actor:<12} {letter.kind:<7}"
    return printable(f"{head} from {letter.sender}: {letter.reason}: {message}")


def _tell(as_json: bool, done: dict[str, object]) -> None:
    if as_json:
        write_line(json.dumps(done))
    else:
        verb = "sent again" if "retried" in done else "discarded"
        write_line(f"dead letter {done['id']} to {done['actor']} {verb}")
