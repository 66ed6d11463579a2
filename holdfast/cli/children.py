"""``start CHILD``, ``stop CHILD``, ``restart CHILD``: one child of a running daemon."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.completing import complete_actors
from holdfast.cli.daemon import connected, tree_of, walk
from holdfast.cli.nearest import hint
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, write_line
from holdfast.errors import AskTimeoutError, ChildError, UnknownActorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.actors.hub import Hub
    from holdfast.actors.messages.supervisor import ChildStatus

__all__ = ["is_child_name", "restart", "start_one", "stop_one"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,47}")

_timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0.0),
    default=60.0,
    show_default=True,
    help="Seconds until it has to be done.",
)


def is_child_name(text: str) -> bool:
    """Whether it can be a child's name; a config has a dot or a slash in its own."""
    return _NAME.fullmatch(text) is not None


@click.command()
@click.argument("child", shell_complete=complete_actors)
@run_dir_option
@_timeout_option
@json_option
def restart(child: str, run_dir: Path, timeout: float, as_json: bool) -> None:
    """Stop CHILD in order and start it again; no restart is charged.

    Of a supervisor, all below it.  What is sent to it meanwhile waits at its senders.
    """

    def both(hub: Hub) -> ChildStatus:
        until = time.monotonic() + timeout
        if hub.ref(child).state(timeout=timeout).restart == "temporary":
            raise Failure(
                f"{child!r} is temporary: once stopped it is no child any more; a restart of its "
                "supervisor brings it back, if the config has it"
            )
        hub.supervision.terminate_child(child, timeout=max(0.0, until - time.monotonic()))
        return hub.supervision.restart_child(child, timeout=max(0.0, until - time.monotonic()))

    _carry_out(run_dir, child, both, done="restarted", as_json=as_json)


def stop_one(child: str, *, run_dir: Path, timeout: float, as_json: bool) -> None:
    """Stop one child; it stays down."""
    _carry_out(
        run_dir,
        child,
        lambda hub: hub.supervision.terminate_child(child, timeout=timeout),
        done="stopped",
        as_json=as_json,
    )


def start_one(child: str, *, run_dir: Path, timeout: float, as_json: bool) -> None:
    """Start one child that is down."""
    _carry_out(
        run_dir,
        child,
        lambda hub: hub.supervision.restart_child(child, timeout=timeout),
        done="started",
        as_json=as_json,
    )


def _carry_out(
    run_dir: Path,
    child: str,
    order: Callable[[Hub], ChildStatus],
    *,
    done: str,
    as_json: bool,
) -> None:
    began = time.monotonic()
    with connected(run_dir) as hub:
        if child == "root":
            raise Failure("the root is the daemon itself: `holdfast stop` stops it")
        try:
            status = order(hub)
        except UnknownActorError:
            raise Failure(_unknown(hub, child)) from None
        except ChildError as error:
            raise Failure(_refused(child, error)) from None
        except AskTimeoutError:
            raise Failure(
                f"{child!r} is not {done} yet; it goes on: look at `holdfast status`"
            ) from None
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        shown = {"child": child, done: True, "state": status.state, "pid": status.pid}
        write_line(json.dumps(shown | {"seconds": seconds}))
    else:
        pid = "" if status.pid is None else f" pid={status.pid}"
        write_line(f"{done} {child}{pid} in {seconds:.1f} s")


def _refused(child: str, error: ChildError) -> str:
    """In words of the command line."""
    if error.reason == "running":
        return f"{child!r} runs already: `holdfast restart {child}` starts it anew"
    if error.reason == "restarting":
        return (
            f"{child!r} is about to be restarted: `holdfast restart {child}` does it now, "
            f"`holdfast stop {child}` keeps it down"
        )
    return str(error)


def _unknown(hub: Hub, child: str) -> str:
    names = [each.id for _, each in walk(tree_of(hub).root)]
    return f"no child {child!r}; {hint(child, names)}"
