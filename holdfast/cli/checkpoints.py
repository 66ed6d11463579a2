"""``holdfast checkpoints``: those of the daemon as a whole, and with --thread those of agents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from holdfast.actors import checkpoint_calls, checkpoint_keeping
from holdfast.actors.messages import checkpoints as vocabulary
from holdfast.cli.daemon import connected
from holdfast.cli.groups import Commands
from holdfast.cli.options import ask_timeout, json_option, run_dir_option
from holdfast.cli.output import Failure, moment, printable, write_line
from holdfast.storage.checkpoint_records import DAEMON

__all__ = ["checkpoints"]

ROUND: Final = 60.0  # seconds for a round through the participants; each has its own limit

_thread = click.option("--thread", metavar="NAME", help="Of an agent, instead of the daemon's.")
_id = click.argument("id", type=click.IntRange(min=1))


@click.group(cls=Commands)
def checkpoints() -> None:
    """Make, look at and restore checkpoints."""


@checkpoints.command()
@run_dir_option
@json_option
def create(run_dir: Path, as_json: bool) -> None:
    """Make a checkpoint of the daemon: ask every participant for its part, keep them together."""
    with connected(run_dir) as hub:
        made = hub.checkpoints.create_daemon(timeout=ROUND)
    _tell_round(as_json, {"id": made.id}, f"checkpoint {made.id}", made.participants)


@checkpoints.command("list")
@_thread
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@run_dir_option
@json_option
def list_(thread: str | None, limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the newest checkpoints, the newest first."""
    with connected(run_dir) as hub:
        found = hub.checkpoints.infos(thread or DAEMON, limit, timeout=ask_timeout)
    for info in found:
        _tell_info(as_json, info)


@checkpoints.command()
@run_dir_option
@json_option
def threads(run_dir: Path, as_json: bool) -> None:
    """Print the names of the agents' threads."""
    with connected(run_dir) as hub:
        names = hub.checkpoints.threads(timeout=ask_timeout)
    for name in names:
        write_line(json.dumps({"thread": name}) if as_json else printable(name))


@checkpoints.command()
@click.argument("id", type=click.IntRange(min=1), required=False)
@_thread
@run_dir_option
@json_option
def show(id: int | None, thread: str | None, run_dir: Path, as_json: bool) -> None:
    """Print one checkpoint with its state, the newest by default."""
    with connected(run_dir) as hub:
        found = hub.checkpoints.get(thread or DAEMON, id)
    if found is None:
        which = f"checkpoint {id}" if id else "checkpoint"
        raise Failure(f"no {which} of {thread or 'the daemon'}: list what there is")
    text = checkpoint_calls.to_json(found)
    write_line(text if as_json else printable(text))


@checkpoints.command()
@_id
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--only", multiple=True, metavar="NAME", help="A participant; may be repeated.")
@run_dir_option
@json_option
def restore(id: int, dry_run: bool, only: tuple[str, ...], run_dir: Path, as_json: bool) -> None:
    """Give the participants of a checkpoint of the daemon their parts back.

    Refused as a whole when the checkpoint is damaged, or claims more events than the database
    holds.
    """
    with connected(run_dir) as hub:
        done = hub.checkpoints.restore_daemon(id, dry_run=dry_run, only=only, timeout=ROUND)
    head = f"checkpoint {id} would be restored" if dry_run else f"checkpoint {id} restored"
    _tell_round(as_json, {"id": id, "dry_run": dry_run}, head, done.participants)


@checkpoints.command()
@_thread
@click.option("--all-threads", is_flag=True, help="Of every agent, but not the daemon's.")
@click.option("--keep-last", type=click.IntRange(min=1), help="The newest so many stay.")
@click.option("--max-age", type=click.FloatRange(min=0), help="Seconds; younger ones stay.")
@click.option("--pinned", is_flag=True, help="Also those that have a name.")
@click.option("--dry-run", is_flag=True, help="Only say which would go.")
@run_dir_option
@json_option
def prune(
    thread: str | None,
    all_threads: bool,
    keep_last: int | None,
    max_age: float | None,
    pinned: bool,
    dry_run: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Delete old checkpoints; none that remains is touched.

    One stays if it is one of the newest --keep-last, younger than --max-age, or pinned.
    """
    if all_threads and thread is not None:
        raise click.UsageError("--thread and --all-threads exclude each other")
    with connected(run_dir) as hub:
        done = hub.checkpoints.prune(
            None if all_threads else thread or DAEMON,
            keep_last=keep_last,
            max_age=max_age,
            keep_pinned=not pinned,
            dry_run=dry_run,
        )
    if as_json:
        named = {_shown(name): ids for name, ids in done.checkpoints.items()}
        write_line(json.dumps({"dry_run": dry_run, "freed": done.freed, "checkpoints": named}))
        return
    verb = "would go" if dry_run else f"pruned, {done.freed} bytes freed"
    write_line(f"{done.count} checkpoints {verb}")
    for name, ids in done.checkpoints.items():
        write_line(printable(f"  {_shown(name)}: {', '.join(map(str, ids))}"))


@checkpoints.command()
@_id
@click.argument("name")
@_thread
@run_dir_option
@json_option
def pin(id: int, name: str, thread: str | None, run_dir: Path, as_json: bool) -> None:
    """Give a checkpoint a name: it is not pruned.  A name that another has moves."""
    with connected(run_dir) as hub:
        before = hub.checkpoints.pin(thread or DAEMON, id, name, timeout=ask_timeout)
    moved = f", which was {before}'s" if before else ""
    _tell(as_json, {"id": id, "name": name, "moved_from": before}, f"{id} is {name!r}{moved}")


@checkpoints.command()
@click.argument("name")
@_thread
@run_dir_option
@json_option
def unpin(name: str, thread: str | None, run_dir: Path, as_json: bool) -> None:
    """Take a name away; the checkpoint stays until it is pruned."""
    with connected(run_dir) as hub:
        existed = hub.checkpoints.unpin(thread or DAEMON, name, timeout=ask_timeout)
    if not existed:
        raise Failure(f"no checkpoint of {thread or 'the daemon'} has the name {name!r}")
    _tell(as_json, {"name": name, "unpinned": True}, f"{name!r} is no name any more")


@checkpoints.command()
@_id
@click.argument("new_thread")
@click.option("--thread", metavar="NAME", required=True, help="Whose checkpoint it is.")
@run_dir_option
@json_option
def fork(id: int, new_thread: str, thread: str, run_dir: Path, as_json: bool) -> None:
    """Begin NEW_THREAD with the state of a checkpoint."""
    with connected(run_dir) as hub:
        made = hub.checkpoints.fork(thread, id, new_thread, timeout=ask_timeout)
    done = {"thread": new_thread, "id": made}
    _tell(as_json, done, f"{new_thread} begins with {thread}'s checkpoint {id}")


def _shown(thread: str) -> str:
    return "the daemon" if thread == DAEMON else thread


def _tell_info(as_json: bool, info: checkpoint_keeping.CheckpointInfo) -> None:
    if as_json:
        write_line(msgspec.json.encode(info).decode())
        return
    parent = "" if info.parent is None else f" after {info.parent[0]} {info.parent[1]}"
    pins = f" {', '.join(info.pins)}" if info.pins else ""
    if info.agent == DAEMON:
        parent = ""
    write_line(printable(f"{info.id:>6} {moment(info.created_us)} {info.size:>12}{parent}{pins}"))


def _tell_round(
    as_json: bool,
    done: dict[str, object],
    head: str,
    participants: Sequence[vocabulary.Participant],
) -> None:
    """One line for each participant; exits 0 although some are missing, which is said."""
    if as_json:
        each = [dict(zip(_FIELDS, msgspec.structs.astuple(p), strict=True)) for p in participants]
        write_line(json.dumps({**done, "participants": each}))
        return
    write_line(head)
    for p in participants:
        what = p.error or f"{p.count or p.restored} things, {p.bytes} bytes"
        skipped = f", {p.skipped} skipped" if p.skipped else ""
        write_line(printable(f"  {p.name:<16} {what}{skipped}"))


_FIELDS: Final = vocabulary.Participant.__struct_fields__


def _tell(as_json: bool, done: dict[str, object], text: str) -> None:
    write_line(json.dumps(done) if as_json else printable(text))
