"""The options that say which events a command is about, and the events themselves, by pages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypedDict

import click

from holdfast.cli.completing import complete_types
from holdfast.cli.options import CURSOR, TIME

if TYPE_CHECKING:
    from holdfast.actors.hub import Event, Hub

__all__ = ["Filters", "filter_options", "pages"]

PAGE: Final = 500  # events asked for at once: a quarter of a megabyte of the traces in examples/


class Arguments(TypedDict):
    """The filters as ``hub.events`` names them."""

    types: tuple[str, ...]
    session: str | None
    source: str | None
    subject: str | None
    correlation: str | None
    since: int | None
    until: int | None
    after: int | str | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions that all have to hold; times in microseconds since 1970."""

    types: tuple[str, ...] = ()
    session: str | None = None
    source: str | None = None
    subject: str | None = None
    correlation: str | None = None
    since: int | None = None
    until: int | None = None
    after: int | str | None = None

    def as_arguments(self) -> Arguments:
        """The keyword arguments of ``hub.events.query`` and ``count``."""
        return Arguments(
            types=self.types,
            session=self.session,
            source=self.source,
            subject=self.subject,
            correlation=self.correlation,
            since=self.since,
            until=self.until,
            after=self.after,
        )


_TYPE: Final = click.option(
    "--type",
    "types",
    multiple=True,
    metavar="GLOB",
    shell_complete=complete_types,
    help="Type; repeatable.",
)


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that make up its ``filters``."""

    @functools.wraps(command)
    def with_filters(
        *,
        types: tuple[str, ...],
        session: str | None,
        source: str | None,
        subject: str | None,
        correlation: str | None,
        since: int | None,
        until: int | None,
        after: int | str | None,
        **others: object,
    ) -> None:
        filters = Filters(types, session, source, subject, correlation, since, until, after)
        command(filters=filters, **others)

    options = (
        _TYPE,
        click.option("--session", help="Only of this session."),
        click.option("--source", help="Only from this source."),
        click.option("--subject", help="Only about this subject."),
        click.option("--correlation", help="Only of this correlation."),
        click.option("--since", type=TIME, help="ISO 8601, seconds since 1970, or 10m, 2h, 1d."),
        click.option("--until", type=TIME, help="As --since; events before it."),
        click.option(
            "--after",
            "--cursor",
            "after",
            type=CURSOR,
            help="Those behind it only: a number, or a cursor.",
        ),
    )
    decorated: Callable[..., None] = with_filters
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def pages(hub: Hub, filters: Filters, *, limit: int | None = None) -> Iterator[list[Event]]:
    """The events in the order of their numbers, a page at a time, at most ``limit`` of them."""
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = hub.events.query(**filters.as_arguments(), limit=size)
        if not page:
            return
        yield page
        if len(page) < size:
            return
        filters = replace(filters, after=page[-1].seq)
        left = None if left is None else left - len(page)
