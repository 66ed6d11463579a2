"""``holdfast verify``: whether a database, or a backup of one, is whole."""

from __future__ import annotations

import json
from pathlib import Path

import click

from holdfast.cli.options import json_option, run_dir_option
from holdfast.cli.output import Failure, printable, write_line
from holdfast.cli.places import place_of, place_options
from holdfast.errors import DamagedError, SchemaError
from holdfast.storage.ports import NoDatabaseError

__all__ = ["verify"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@place_options
@run_dir_option
@json_option
@click.pass_context
def verify(
    context: click.Context,
    file: Path | None,
    config: Path | None,
    data_dir: Path | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Look at every page, hash and sum of the daemon's database, or of FILE.

    Reads only, also of a daemon that runs.  Exit code 1 when something is wrong, 3 when FILE is no
    database of holdfast's.
    """
    from holdfast.cli.meter import Meter
    from holdfast.storage.verifying import Finding, verify_database

    path = place_of(run_dir, config, data_dir).database if file is None else file
    meter = Meter("verify")
    try:
        findings = verify_database(str(path), watch=meter.say)
    except (SchemaError, NoDatabaseError) as error:
        raise Failure(str(error), code=3) from error
    except DamagedError as error:
        findings = [Finding("file", "error", str(error))]
    finally:
        meter.close()
    is_whole = all(finding.level != "error" for finding in findings)
    if as_json:
        shown = [finding._asdict() for finding in findings]
        write_line(json.dumps({"file": str(path), "whole": is_whole, "findings": shown}))
    else:
        for finding in findings:
            advice = f"; {finding.advice}" if finding.advice else ""
            text = f": {finding.text}{advice}" if finding.text else ""
            write_line(printable(f"{finding.level:<6} {finding.check}{text}"))
        write_line(f"{path}: {'whole' if is_whole else 'something is wrong'}")
    if not is_whole:
        context.exit(1)
