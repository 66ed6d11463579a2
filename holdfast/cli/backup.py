"""``holdfast backup``: the database as it is at one moment, into one file."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import write_line
from holdfast.cli.places import place_of, place_options
from holdfast.cli.sizes import size

if TYPE_CHECKING:
    from holdfast.storage.copying import Copy

__all__ = ["backup", "told"]

NICE: Final = 10  # commits go first where processors are few


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE when it is there.")
@place_options
@run_dir_option
@json_option
def backup(
    file: Path,
    force: bool,
    config: Path | None,
    data_dir: Path | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Copy the database to FILE, whole and checked, while the daemon works on or is stopped.

    FILE appears when it is complete.  It has the database and nothing else: not the files of
    `holdfast files`, not the logs, not the configuration.
    """
    from holdfast.cli.meter import Meter
    from holdfast.storage.copying import copy_database, finish, room_for

    place = place_of(run_dir, config, data_dir)
    with suppress(OSError):
        os.nice(NICE)
    meter, began = Meter("backup"), time.monotonic()
    try:
        with room_for(str(file), replace=force) as draft:
            copy = copy_database(
                str(place.database),
                draft,
                meter,
            )
            finish(draft, str(file))
    finally:
        meter.close()
    seconds = time.monotonic() - began
    if as_json:
        write_line(
            json.dumps(
                {"file": str(file), "database": str(place.database)}
                | told(copy)
                | {"seconds": round(seconds, 3)}
            )
        )
        return
    write_line(
        f"{file}: {size(copy.bytes)}, {copy.rows.get('events', 0):,} events up to number "
        f"{copy.last_seq}, in {seconds:.1f} s; checked"
    )


def told(copy: Copy) -> dict[str, object]:
    """What a copy has, for JSON."""
    return {
        "bytes": copy.bytes,
        "schema_version": copy.version,
        "epoch": copy.epoch,
        "last_seq": copy.last_seq,
        "rows": copy.rows,
    }
