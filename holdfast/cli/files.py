"""``holdfast files``: response logs and results, listed, read and exported."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import msgspec

from holdfast.cli.daemon import connected
from holdfast.cli.groups import Commands
from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, moment, printable, printable_lines, write_line
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.file_calls import Record

__all__ = ["files"]

_SHOWN = 120  # characters of a record in a line for people


@click.group(cls=Commands)
def files() -> None:
    """Read response logs and results."""


@files.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=1_000, show_default=True)
@run_dir_option
@json_option
def list_(limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the sessions that have files."""
    with connected(run_dir) as hub:
        found = hub.files.list(limit=limit)
    for one in found:
        if as_json:
            write_line(json.dumps(_fields(one)))
        else:
            rotated = f"{one.parts} rotated" if one.parts else ""
            line = f"{moment(one.changed_us)} {one.bytes:>12} {one.session}  {rotated}"
            write_line(printable(line.rstrip()))


@files.command()
@click.argument("session")
@click.option("--after", type=click.IntRange(min=0), default=0, help="A record's number.")
@click.option("--limit", type=click.IntRange(min=1), default=1_000, show_default=True)
@run_dir_option
@json_option
def show(session: str, after: int, limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the records of a session, the oldest first."""
    with connected(run_dir) as hub:
        found = hub.files.read(session, after=after, limit=limit)
    if not found and not after:
        text = (
            f"no files of session {printable(session)!r}: `holdfast files list` shows what there is"
        )
        raise Failure(text)
    for record in found:
        write_line(_as_json(record) if as_json else _as_text(record))


@files.command()
@click.argument("session")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file, not the terminal.")
@run_dir_option
@json_option
def export(session: str, output: Path | None, run_dir: Path, as_json: bool) -> None:
    """Write a session's conversation as Markdown, or as JSON."""
    with connected(run_dir) as hub:
        text = hub.files.export(session, "json" if as_json else "markdown")
    if output is None:
        text = text.removesuffix("\n")
        write_line(printable_lines(text) if sys.stdout.isatty() else text)
        return
    try:
        _write_file(output, text)
    except OSError as error:
        raise Failure(f"{output}: cannot be written: {error.strerror}") from None
    click.echo(f"session {printable(session)} written to {output}", err=True)


@files.command()
@click.argument("session")
@run_dir_option
@json_option
def delete(session: str, run_dir: Path, as_json: bool) -> None:
    """Delete all files of a session."""
    with connected(run_dir) as hub:
        existed = hub.files.delete(session)
    _tell_deleted(existed, "session", session, as_json)


@files.group(cls=Commands)
def results() -> None:
    """Read and write named results."""


@results.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=1_000, show_default=True)
@run_dir_option
@json_option
def list_results(limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the names of the results, and the bytes of each."""
    with connected(run_dir) as hub:
        found = hub.files.list_results(limit=limit)
    for one in found:
        if as_json:
            write_line(json.dumps(_fields(one)))
        else:
            write_line(printable(f"{one.bytes:>12} {one.name}"))


@results.command("get")
@click.argument("name")
@run_dir_option
@json_option
def get_result(name: str, run_dir: Path, as_json: bool) -> None:
    """Print a result's value as JSON; with --json its version and time too."""
    with connected(run_dir) as hub:
        found = hub.files.get_result(name)
    if found is None:
        raise Failure(f"no result {name!r}: `holdfast files results list` shows what there is")
    value = jsontext.encode(found.value)
    if as_json:
        head = {"name": found.name, "version": found.version, "time_us": found.time_us}
        write_line(f'{json.dumps(head)[:-1]}, "value": {value}}}')
    else:
        write_line(msgspec.json.format(value, indent=2))


@results.command("put")
@click.argument("name")
@click.argument("source", type=click.File("rb"), default="-")
@run_dir_option
@json_option
def put_result(name: str, source: BinaryIO, run_dir: Path, as_json: bool) -> None:
    """Replace a result by the JSON in a file, or in standard input."""
    value = jsontext.decode(source.read())
    with connected(run_dir) as hub:
        version = hub.files.put_result(name, value)
    if as_json:
        write_line(json.dumps({"name": name, "version": version}))
    else:
        write_line(printable(f"result {name} is version {version} now"))


@results.command("delete")
@click.argument("name")
@run_dir_option
@json_option
def delete_result(name: str, run_dir: Path, as_json: bool) -> None:
    """Delete a result."""
    with connected(run_dir) as hub:
        existed = hub.files.delete_result(name)
    _tell_deleted(existed, "result", name, as_json)


def _tell_deleted(existed: bool, kind: str, name: str, as_json: bool) -> None:
    if not existed:
        raise Failure(f"no {kind} {name!r} to delete")
    if as_json:
        write_line(json.dumps({kind: name, "deleted": True}))
    else:
        write_line(printable(f"{kind} {name} deleted"))


def _fields(one: msgspec.Struct) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def _as_json(record: Record) -> str:
    text = jsontext.encode(record.record)
    return f'{{"seq": {record.seq}, "time_us": {record.time_us}, "record": {text}}}'


def _as_text(record: Record) -> str:
    text = jsontext.encode(record.record)
    if len(text) > _SHOWN:
        text = text[: _SHOWN - 3] + "..."
    return printable(f"{record.seq:>6} {moment(record.time_us)} {text}")


def _write_file(output: Path, text: str) -> None:
    """Write beside the file and rename: whoever opens it finds all of the text or none."""
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(output)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
