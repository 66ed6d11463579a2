"""``holdfast doctor``: what is wrong with an installation, or will be."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.colours import Style, painted
from holdfast.cli.daemon import connected, tree_of, walk
from holdfast.cli.findings import Finding
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import printable, write_line
from holdfast.cli.places import place_options
from holdfast.cli.sizes import as_object, line_of, size, sizes_of, writing_of
from holdfast.cli.surroundings import (
    of_clock,
    of_folder,
    of_leftovers,
    of_limits,
    of_memory,
    of_versions,
)
from holdfast.client import is_there, not_found
from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.actors.messages.writer import WriterStats
    from holdfast.storage.size_records import Sizes

__all__ = ["doctor"]

DAYS: Final = 7  # the disk has to last so long
SHARE: Final = 20  # or one part in so many of it has to be free, when nothing is known of growth
WAL: Final = 256 * 2**20  # bytes: twice of what stays of it in the ordinary course
SECONDS: Final = 10.0  # to look at every page of the database


@click.command()
@click.option(
    "--repair",
    "is_repair",
    is_flag=True,
    help="Of a daemon that is stopped: save what can be read of a damaged database.",
)
@place_options
@run_dir_option
@json_option
@click.pass_context
def doctor(
    context: click.Context,
    is_repair: bool,
    config: Path | None,
    data_dir: Path | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Check versions, permissions, limits, clock, disk, the database, and say what to do.

    Exit code 1 when something is wrong; a warning is nothing wrong yet.  Without a daemon, what
    can be looked at, and 4.
    """
    if is_repair:
        from holdfast.cli.repair import repair

        if not repair(config, data_dir, as_json=as_json):
            context.exit(1)
        return
    if config is not None or data_dir is not None:
        raise click.UsageError("--config and --data-dir are of use with --repair only")
    findings = [*of_versions(), *of_memory()]
    if not is_there(run_dir):
        if run_dir.is_dir():
            findings += [*of_folder(run_dir), *of_leftovers(run_dir, None)]
        _print(findings, [], {}, as_json=as_json)
        raise not_found(run_dir)
    with connected(run_dir) as hub:
        tree = tree_of(hub)
        sizes, writing = sizes_of(hub, tree), writing_of(hub, tree)
    names = {child.id for _, child in walk(tree.root)}
    findings += [*of_folder(run_dir), *of_leftovers(run_dir, names)]
    if tree.root.pid is not None:
        findings += [*of_limits(tree.root.pid), *of_clock(tree.root.pid, run_dir)]
    about, tables = _of_database(sizes, writing)
    findings += about
    _print(findings, tables, {"database": as_object(sizes, writing)}, as_json=as_json)
    if any(finding.level == "error" for finding in findings):
        context.exit(1)


def _print(
    findings: list[Finding],
    tables: list[tuple[str, int, int]],
    more: dict[str, object],
    *,
    as_json: bool,
) -> None:
    if as_json:
        write_line(json.dumps(_as_object(findings, tables) | more))
        return
    for finding in findings:
        style: Style = "good" if finding.level == "ok" else finding.level
        write_line(
            f"{painted(f'{finding.level:<8}', style)} {finding.what}: {printable(finding.text)}"
        )
    for name, rows, each in tables:
        write_line(f"         {name}: {rows:,} rows, {size(each)}")


def _of_database(
    sizes: Sizes | None, writing: WriterStats | None
) -> tuple[list[Finding], list[tuple[str, int, int]]]:
    """And its tables, where they can be looked at from here."""
    if writing is not None and writing.outage:
        return [Finding("database", "error", f"does not answer: {writing.outage}")], []
    if sizes is None:
        return [Finding("database", "error", "query does not say how large it is")], []
    if sizes.backend != "sqlite":
        text = f"{line_of(sizes, writing)}; ask the server for its tables, its disk and its log"
        findings = [
            Finding("server", "ok", f"PostgreSQL {sizes.version}"),
            Finding("database", "ok", text),
        ]
        return findings + [Finding("server", "warning", each) for each in sizes.cautions], []
    findings = [*_of_file(sizes.path), *_of_sizes(sizes, writing)]
    try:
        return findings, _tables(sizes.path)
    except HoldfastError as error:
        return [*findings, Finding("tables", "warning", f"not looked at: {error}")], []


def _as_object(findings: list[Finding], tables: list[tuple[str, int, int]]) -> dict[str, object]:
    named = [{"name": name, "rows": rows, "bytes": each} for name, rows, each in tables]
    return {"findings": [finding._asdict() for finding in findings], "tables": named}


def _of_file(path: str) -> Iterator[Finding]:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if not os.access(path, os.R_OK | os.W_OK):
        yield Finding("database file", "error", f"{path}: uid {os.getuid()} cannot write it")
    elif mode & 0o022:
        yield Finding("database file", "error", f"{path}: mode {mode:o}, others can write it")
    elif mode & 0o044:
        text = f"{path}: mode {mode:o}, others can read it unless its folder keeps them out"
        yield Finding("database file", "ok", text)
    else:
        yield Finding("database file", "ok", f"{path}: mode {mode:o}")


def _of_sizes(sizes: Sizes, writing: WriterStats | None) -> Iterator[Finding]:
    yield Finding("database", "ok", line_of(sizes, writing))
    if sizes.wal > WAL:
        text = f"{size(sizes.wal)}: a reader holds a snapshot; close viewers of the database"
        yield Finding("log of the database", "warning", text)
    needed = sizes.bytes_per_day * DAYS
    is_kept = writing is not None and writing.rules == 0
    if is_kept and needed > sizes.disk_free:
        text = (
            f"full in {sizes.disk_free / sizes.bytes_per_day:.1f} days, and nothing is ever "
            "deleted: set bounds in [retention]"
        )
        yield Finding("disk", "error" if sizes.disk_free < needed / DAYS else "warning", text)
    elif sizes.disk_free * SHARE < sizes.disk_size:
        yield Finding("disk", "warning", f"only {size(sizes.disk_free)} of it are free")
    else:
        yield Finding("disk", "ok", f"{size(sizes.disk_free)} free")


def _tables(path: str) -> list[tuple[str, int, int]]:
    """With a connection of this process: a large file takes its time."""
    from holdfast.storage.sqlite import SqliteReader

    reader = SqliteReader(path, statement_timeout=SECONDS)
    try:
        return reader.tables()
    finally:
        reader.close()
