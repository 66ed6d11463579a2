"""``holdfast restore``: a backup in place of the database of a daemon that is stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.cli.backup import told
from holdfast.cli.options import json_option
from holdfast.cli.output import Failure, write_line
from holdfast.cli.places import Place, place_of, place_options
from holdfast.errors import DamagedError, SchemaError, StorageError
from holdfast.storage.ports import NoDatabaseError

if TYPE_CHECKING:
    from holdfast.storage.restoring import Restored

__all__ = ["owning", "restore"]

_BAD_FILE = 3


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@place_options
@json_option
def restore(file: Path, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Put the backup FILE in place of the database, which is moved aside and not deleted.

    Only while the daemon is stopped.  FILE is verified first; exit code 3 when it is not whole,
    and then nothing is changed.
    """
    from holdfast.cli.meter import Meter
    from holdfast.storage.restoring import restore_database
    from holdfast.supervisors.locks import raise_boot

    place = place_of(None, config, data_dir)
    meter = Meter("restore")
    try:
        with owning(place):
            _check_whole(file, meter)
            restored = restore_database(
                str(file),
                str(place.database),
                meter,
                before=lambda used: raise_boot(place.data_dir, used),
            )
    finally:
        meter.close()
    _report(file, restored, as_json)


@contextmanager
def owning(place: Place) -> Iterator[None]:
    """No daemon starts on the directory and no writer on the database meanwhile.

    Raises AlreadyRunningError.
    """
    from holdfast.storage.sqlite_lock import WriterLock
    from holdfast.supervisors.directories import prepare_data_dir
    from holdfast.supervisors.locks import DirectoryLock

    prepare_data_dir(place.data_dir)
    lock = DirectoryLock(place.data_dir)
    try:
        writer = WriterLock(os.path.realpath(place.database))
        try:
            yield
            writer.note_made()
        finally:
            writer.release()
    finally:
        lock.release()


def _check_whole(file: Path, meter: object) -> None:
    from holdfast.cli.meter import Meter
    from holdfast.storage.verifying import verify_database

    assert isinstance(meter, Meter)
    try:
        findings = verify_database(str(file), watch=lambda name: meter.say(f"verifying {name}"))
    except (SchemaError, DamagedError, NoDatabaseError, StorageError) as error:
        raise Failure(f"{error}; nothing was changed", code=_BAD_FILE) from error
    wrong = [finding for finding in findings if finding.level == "error"]
    if wrong:
        raise Failure(
            f"{file}: {wrong[0].check}: {wrong[0].text}; see all with `holdfast verify {file}`; "
            "nothing was changed",
            code=_BAD_FILE,
        )


def _report(file: Path, restored: Restored, as_json: bool) -> None:
    copy, previous = restored.copy, restored.previous
    lost = None if previous is None else max(0, previous[1] - copy.last_seq)
    if as_json:
        done = {
            "file": str(file),
            "database": restored.path,
            "aside": restored.aside,
            "lost_events": lost,
            "boot": restored.boot,
        }
        write_line(json.dumps(told(copy) | done | {"epoch": restored.epoch}))
        return
    write_line(
        f"{restored.path}: {copy.rows.get('events', 0):,} events up to number {copy.last_seq}, "
        f"from {file}"
    )
    if restored.aside is not None:
        gone = "" if lost is None else f"; it has {lost:,} numbers more"
        write_line(f"what was there is at {restored.aside}{gone}")
