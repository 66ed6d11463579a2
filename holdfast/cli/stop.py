"""``holdfast stop``: ends the daemon, or one child; returns when nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import click

from holdfast.actors.messages.supervisor import StopTree
from holdfast.cli.children import stop_one
from holdfast.cli.completing import complete_actors
from holdfast.cli.daemon import Processes, connected, tree_of
from holdfast.cli.options import ask_timeout, json_option, run_dir_option
from holdfast.cli.output import Failure, write_line
from holdfast.errors import ActorDied

__all__ = ["stop"]


@click.command()
@click.argument("child", required=False, shell_complete=complete_actors)
@run_dir_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.0),
    default=30.0,
    show_default=True,
    help="Seconds until it has to be gone.",
)
@json_option
def stop(child: str | None, run_dir: Path, timeout: float, as_json: bool) -> None:
    """Stop the daemon and wait until it is gone; or stop CHILD, which then stays down.

    Children are stopped before their supervisors, the last started first.  `start CHILD` starts
    one again; what is sent to it meanwhile waits at its senders.
    """
    if child is not None:
        stop_one(child, run_dir=run_dir, timeout=timeout, as_json=as_json)
        return
    began = time.monotonic()
    with connected(run_dir) as hub:
        root = tree_of(hub).root.pid
        if root is None:
            raise Failure("the root does not know its own pid; send it SIGTERM")
        processes = Processes(root)
        try:
            with contextlib.suppress(ActorDied):  # it was already ending
                hub.ask("root", StopTree(), timeout=ask_timeout)
            left = processes.wait(timeout)
        finally:
            processes.close()
    if left:
        pids = " ".join(map(str, left))
        raise Failure(f"still running after {timeout:g} s: {pids}; wait longer, or kill -9 {root}")
    seconds = time.monotonic() - began
    if as_json:
        write_line(json.dumps({"stopped": True, "pid": root, "seconds": round(seconds, 3)}))
    else:
        write_line(f"stopped pid={root} in {seconds:.1f} s")
