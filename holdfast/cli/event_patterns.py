"""Patterns of event types that match nothing: likely mistyped, and then worth a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.nearest import nearest
from holdfast.cli.output import printable
from holdfast.errors import HoldfastError
from holdfast.storage.filters import glob_matches

if TYPE_CHECKING:
    from holdfast.actors.hub import Hub

__all__ = ["say_unmatched", "unmatched"]

PATIENCE: Final = 5.0  # seconds to count types; the answer proper was given


def say_unmatched(hub: Hub, patterns: Sequence[str]) -> None:
    """Tell on standard error of each pattern that no event's type matches."""
    if not patterns:
        return
    try:
        groups = hub.events.aggregate("type", timeout=PATIENCE)
    except HoldfastError:  # a hint that costs too much is left out
        return
    for line in unmatched(patterns, [group.type or "" for group in groups]):
        click.echo(f"holdfast: {printable(line)}", err=True)


def unmatched(patterns: Iterable[str], types: Sequence[str]) -> Iterator[str]:
    """A line for each pattern that matches none of ``types``, with the nearest that would."""
    for pattern in patterns:
        if any(glob_matches(pattern, type) for type in types):
            continue
        close = nearest(pattern, [*types, *_families(types)])
        meant = "" if close is None else f"; did you mean {close}?"
        yield f"no event has a type like {pattern!r}{meant}"


def _families(types: Iterable[str]) -> Iterator[str]:
    """``tool:*`` and ``tool:call:*`` of ``tool:call:begun``."""
    for type in types:
        parts = type.split(":")
        for end in range(1, len(parts)):
            yield ":".join([*parts[:end], "*"])
