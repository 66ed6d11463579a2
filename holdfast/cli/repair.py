"""``holdfast doctor --repair``: what can be read of a damaged database, in a new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from holdfast.cli.meter import Meter
from holdfast.cli.output import Failure, write_line
from holdfast.cli.places import place_of
from holdfast.cli.restore import owning
from holdfast.errors import DamagedError

if TYPE_CHECKING:
    from holdfast.storage.repairing import Repaired, TableSaved

__all__ = ["repair"]


def repair(config: Path | None, data_dir: Path | None, *, as_json: bool) -> bool:
    """Whether what is there now is whole.

    Raises AlreadyRunningError while the daemon runs, SchemaError for what is no database of ours.
    """
    from holdfast.storage.database_file import MOVING, check_file
    from holdfast.storage.repairing import repair_database
    from holdfast.storage.sqlite_schema import VERSION
    from holdfast.storage.verifying import verify_database

    place = place_of(None, config, data_dir)
    path = str(place.database)
    meter = Meter("repair")
    try:
        with owning(place):
            if not place.database.exists():
                raise Failure(f"{path}: there is none; `holdfast restore` a backup")
            if not Path(path + MOVING).exists():
                try:
                    check_file(path, newest=VERSION)
                    findings = verify_database(path, watch=meter.say)
                    if all(finding.level != "error" for finding in findings):
                        _say_whole(path, as_json)
                        return True
                except DamagedError:
                    pass  # that is what it is for
            repaired = repair_database(path, meter.say)
    finally:
        meter.close()
    _report(repaired, as_json)
    return not repaired.findings


def _say_whole(path: str, as_json: bool) -> None:
    if as_json:
        write_line(json.dumps({"database": path, "repaired": False, "whole": True}))
    else:
        write_line(f"{path}: is whole; nothing was changed")


def _report(repaired: Repaired, as_json: bool) -> None:
    if as_json:
        tables = {name: msgspec.structs.asdict(saved) for name, saved in repaired.tables.items()}
        shown = {
            "database": repaired.path,
            "repaired": True,
            "whole": not repaired.findings,
            "aside": repaired.aside,
            "last_seq": repaired.last_seq,
            "epoch": repaired.epoch,
            "tables": tables,
            "findings": [finding._asdict() for finding in repaired.findings],
        }
        write_line(json.dumps(shown))
        return
    write_line(f"{repaired.path}: made anew from what could be read")
    for name, saved in repaired.tables.items():
        if saved.saved or not saved.is_whole:
            write_line(f"  {name:<24} {_line(saved)}")
    write_line(f"the damaged one is at {repaired.aside}, with its log if it had one")
    for finding in repaired.findings:
        write_line(f"error  {finding.check}: {finding.text}")


def _line(saved: TableSaved) -> str:
    parts = [f"{saved.saved:,} rows saved"]
    if saved.lost:
        parts.append(f"{saved.lost:,} lost")
    if saved.unreadable:
        parts.append(f"{saved.unreadable:,} pages or rows cannot be read")
    if saved.refused:
        parts.append(f"{saved.refused:,} are none that were put there")
    if saved.removed:
        parts.append(f"{saved.removed:,} taken out, for what they stand on is lost")
    return ", ".join(parts)
