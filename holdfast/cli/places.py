"""Which database a command is about: that of the daemon that runs, or of one that is stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from holdfast.cli.output import Failure

__all__ = ["Place", "place_of", "place_options"]

DATA_DIR: Final = Path("var/lib")
DATABASE: Final = "holdfast.db"


class Place(NamedTuple):
    """A database, and the directory whose owner may start a daemon on it."""

    database: Path
    data_dir: Path


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that works without a daemon, too."""
    for option in (
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            help="Of a daemon that is stopped: where its data is; else the config's, else var/lib.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="Of a daemon that is stopped: its config file.",
        ),
    ):
        command = option(command)
    return command


def place_of(run_dir: Path | None, config: Path | None, data_dir: Path | None) -> Place:
    """What the options name, else what the daemon at ``run_dir`` says, else the default place.

    Raises ConfigError, Failure.
    """
    if config is not None:
        from holdfast.supervisors.commit_point import obey
        from holdfast.supervisors.config import load_settings
        from holdfast.supervisors.config_file import Read
        from holdfast.supervisors.plan import environment_of, root_spec

        settings = load_settings(config)
        where = (data_dir or Path(settings.daemon.data_dir)).absolute()
        environment = environment_of(settings, data_dir=where, run_dir=where)
        environment = obey(Read(settings, root_spec(settings), environment, None)).read.environment
        if environment.backend == "postgresql":
            raise _elsewhere(str(config))
        return Place(Path(environment.database), where)
    if data_dir is None and run_dir is not None and (asked := _asked(run_dir)) is not None:
        return Place(asked, asked.parent)
    where = (data_dir or DATA_DIR).absolute()
    database = _pointed(where) or where / DATABASE
    if data_dir is None and not database.exists():
        tried = "" if run_dir is None else f"no daemon answers at {run_dir}, and "
        raise Failure(
            f"{tried}there is no {DATA_DIR / DATABASE}: name the daemon with --run-dir, or what is "
            "stopped with --config or --data-dir",
            code=4,
        )
    return Place(database, where)


def _pointed(data_dir: Path) -> Path | None:
    """What the commit point says; None where there is none, or nothing that is a file."""
    from holdfast.supervisors.commit_point import read_point

    point = read_point(data_dir)
    if point is not None and point.backend == "postgresql":
        raise _elsewhere(str(data_dir))
    return data_dir / point.path if point is not None and point.path else None


def _asked(run_dir: Path) -> Path | None:
    """The database of the daemon there; None where there is none."""
    from holdfast.client import is_there

    if not is_there(run_dir):
        return None
    from holdfast.cli.daemon import connected, tree_of
    from holdfast.cli.sizes import sizes_of

    with connected(run_dir) as hub:
        sizes = sizes_of(hub, tree_of(hub))
    if sizes is None:
        raise Failure(
            f"the daemon at {run_dir} runs, but its query actor does not say where the database "
            "is: name it with --config or --data-dir"
        )
    if sizes.backend != "sqlite":
        raise _elsewhere(sizes.path)
    return Path(sizes.path)


def _elsewhere(where: str) -> Failure:
    return Failure(
        f"{where}: the data is in PostgreSQL, and this command is for SQLite's file: use the "
        "server's own, as in `pg_dump --schema=holdfast`, `pg_restore` and `pg_amcheck`"
    )
