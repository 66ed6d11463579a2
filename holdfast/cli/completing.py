"""What the tab key offers of a daemon that runs.  Where none answers at once: nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.options import run_dir_default
from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.actors.hub import Hub

__all__ = ["complete_actors", "complete_types"]

PATIENCE: Final = 1.0  # seconds; who presses a key does not wait for a restart


def complete_actors(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The names of actors, agents and supervisors."""

    def names(hub: Hub) -> Iterable[str]:
        import msgspec

        from holdfast.actors.messages.supervisor import GetTree, Tree
        from holdfast.cli.daemon import walk

        tree = msgspec.convert(hub.ask("root", GetTree(), timeout=PATIENCE), Tree)
        return (child.id for _, child in walk(tree.root))

    return _of_daemon(context, incomplete, names)


def complete_types(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """The types of the events that there are."""

    def names(hub: Hub) -> Iterable[str]:
        groups = hub.events.aggregate("type", timeout=PATIENCE)
        return (group.type for group in groups if group.type is not None)

    return _of_daemon(context, incomplete, names)


def _of_daemon(
    context: click.Context, incomplete: str, names: Callable[[Hub], Iterable[str]]
) -> list[str]:
    from holdfast.client import connect, is_there

    # click does not hand over the default of an option that was not reached yet.
    run_dir = Path(context.params.get("run_dir") or run_dir_default())
    try:
        if not is_there(run_dir):
            return []
        with connect(run_dir) as hub:
            found = sorted(set(names(hub)))
    except HoldfastError:  # a message here would land in the line that is being typed
        return []
    return [name for name in found if name.startswith(incomplete)]
