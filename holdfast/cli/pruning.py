"""``holdfast events prune``: a round of retention now, or what it would delete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from holdfast.cli.daemon import connected
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import write_line

if TYPE_CHECKING:
    from holdfast.storage.retention_records import Deletions

__all__ = ["prune"]

TIMEOUT: Final = 3_600.0  # seconds; a million events take half a minute


@click.command()
@click.option("--dry-run", is_flag=True, help="Delete nothing, only say what would be deleted.")
@run_dir_option
@json_option
def prune(dry_run: bool, run_dir: Path, as_json: bool) -> None:
    """Delete now what the rules in [retention] say, and print what that was."""
    from holdfast.actors.messages.writer import Prune, Pruned

    with connected(run_dir) as hub:
        reply = hub.ask("writer", Prune(dry_run), timeout=TIMEOUT)
    pruned = msgspec.convert(reply, Pruned)
    if as_json:
        shown = [_as_object(each) for each in pruned.deletions]
        write_line(json.dumps({"rules": pruned.rules, "dry_run": dry_run, "deleted": shown}))
        return
    if not pruned.rules:
        write_line("nothing is ever deleted: [retention] has no bounds (docs/RETENTION.md)")
        return
    done = "would be deleted" if dry_run else "deleted"
    for each in pruned.deletions:
        write_line(
            f"{each.rule}: {each.count} events, {each.bytes} bytes, {done} for their "
            f"{each.reason}, numbers {each.first_seq} to {each.last_seq}"
        )
    if not pruned.deletions:
        write_line(f"nothing {'to be deleted' if dry_run else 'was deleted'}")


def _as_object(each: Deletions) -> dict[str, object]:
    return {field: getattr(each, field) for field in each.__struct_fields__}
