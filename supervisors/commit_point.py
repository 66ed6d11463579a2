"""``backend`` in the data directory: which database the daemon's data is in.

The only commit point of a swap, and what every start obeys, whatever the config file says.
Written to another name, on the disk before it takes this one: what is read is the old or the new
as a whole.  Lost with the data directory, as all else in it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from holdfast.clock import Clock
from holdfast.errors import ConfigError
from holdfast.storage.atomic_files import replace
from holdfast.supervisors.config_file import Read
from holdfast.supervisors.plan import environment_of
from holdfast.supervisors.secrets import resolved
from holdfast.supervisors.settings import Backend, StorageSettings
from holdfast.supervisors.spec import Environment

__all__ = [
    "COMMIT_POINT",
    "CommitPoint",
    "Obeyed",
    "in_words",
    "iso",
    "obey",
    "read_point",
    "settle",
    "write_point",
]

COMMIT_POINT: Final = "backend"
MOST: Final = 64 * 1024  # bytes


class CommitPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the data is since ``since`` (ISO 8601), by which swap; "" is the first start.

    ``path`` and ``dsn`` as a config has them: a reference stays one.
    """

    backend: Backend
    since: str
    path: str = ""
    dsn: str = ""
    swap: str = ""

    @classmethod
    def of(cls, storage: StorageSettings, *, clock: Clock, swap: str = "") -> CommitPoint:
        """Of what a config names."""
        path = storage.path if storage.backend == "sqlite" else ""
        since = iso(clock)
        return cls(storage.backend, since, path=path, dsn=storage.dsn, swap=swap)

    def is_of(self, storage: StorageSettings) -> bool:
        """Whether a config names that place."""
        if self.backend != storage.backend:
            return False
        if self.backend == "sqlite":
            return self.path == storage.path
        return self.backend == "memory" or _is_same_dsn(self.dsn, storage.dsn)

    @property
    def named(self) -> str:
        """In words that hold no secret."""
        return f"{self.backend} ({self.path})" if self.backend == "sqlite" else self.backend


class Obeyed(msgspec.Struct, frozen=True):
    """What is run: the file's words, but for the database, which ``point`` says.

    ``notice`` says so where that is another one than the file names.
    """

    read: Read
    point: CommitPoint | None
    notice: str = ""


def iso(clock: Clock) -> str:
    """Now, as ISO 8601 in UTC."""
    now = datetime.fromtimestamp(clock.time_us() / 1e6, UTC)
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")


def read_point(data_dir: Path) -> CommitPoint | None:
    """None before the first start, and of an older holdfast.  Raises ConfigError."""
    path = data_dir / COMMIT_POINT
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        point = msgspec.json.decode(data, type=CommitPoint)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(path, str(error)) from None
    if point.backend == "sqlite" and not point.path:
        raise _refused(path, "no path")
    if point.backend == "postgresql" and not point.dsn:
        raise _refused(path, "no dsn")
    return point


def _refused(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: it says where the data is, and cannot be understood: {why}; nothing is started, "
        "as that might be with another database: put back what was in it, or, if the config file "
        "names the database that has the data, remove it"
    )


def write_point(data_dir: Path, point: CommitPoint) -> None:
    """Have it there, on the disk.  Raises StorageError: the old one is there then."""
    data = msgspec.json.format(msgspec.json.encode(point), indent=1)
    replace(data_dir / COMMIT_POINT, data + b"\n")


def obey(read: Read) -> Obeyed:
    """The commit point rather than the file, if there is one.  Raises ConfigError.

    Not where nothing is any more: a file that was moved by hand, a memory that went with a stop.
    """
    data_dir = Path(read.environment.data_dir)
    point = read_point(data_dir)
    storage = read.settings.storage
    if point is None or point.is_of(storage):
        return Obeyed(read, point)
    settings = msgspec.structs.replace(read.settings, storage=_in_place_of(storage, point))
    runs = Path(read.environment.run_dir)
    environment = environment_of(settings, data_dir=data_dir, run_dir=runs)
    if environment.backend != "postgresql" and not os.path.exists(environment.database):
        return Obeyed(read, point)
    notice = (
        f"{read.settings.file}: [storage] names {in_words(read.environment)}, but the data is in "
        f"{point.named} since {point.since}: started with that, as {data_dir / COMMIT_POINT} "
        f"says; `holdfast reload` moves it to where the config says{_way_out(point)}"
    )
    return Obeyed(
        msgspec.structs.replace(read, settings=settings, environment=environment), point, notice
    )


def _way_out(point: CommitPoint) -> str:
    """Of a dsn that was wrong at the first start: no reload can move what was never there."""
    if point.backend != "postgresql" or point.swap:
        return ""
    return (
        "; if its dsn was wrong from the start and nothing was ever stored there, stop the daemon "
        "and remove that file"
    )


def settle(obeyed: Obeyed, *, clock: Clock) -> None:
    """By the owner of the data directory: have the commit point say what is run.

    Raises ConfigError when it has changed since it was obeyed, and StorageError.
    """
    data_dir = Path(obeyed.read.environment.data_dir)
    if read_point(data_dir) != obeyed.point:
        raise ConfigError(f"{data_dir / COMMIT_POINT}: it changed meanwhile: start again")
    storage, point = obeyed.read.settings.storage, obeyed.point
    if point is not None:
        _require_data(obeyed.read.environment, point)
    if point is None or not point.is_of(storage):
        write_point(data_dir, CommitPoint.of(storage, clock=clock))
    elif point.dsn != storage.dsn:  # with another password
        write_point(data_dir, msgspec.structs.replace(point, dsn=storage.dsn))


def in_words(environment: Environment) -> str:
    """A database as events and people are told of it: no secret is in that."""
    if environment.backend == "postgresql":
        return environment.backend
    name = os.path.relpath(environment.database, environment.data_dir)
    return environment.backend if environment.backend == "memory" else f"sqlite ({name})"


def _require_data(environment: Environment, point: CommitPoint) -> None:
    """Raise ConfigError where a swap has moved the data to a file that is not there, as on a disk
    that is not mounted: an empty database in its place would be taken for it."""
    data_dir = Path(environment.data_dir)
    if not point.swap or point.backend != "sqlite" or os.path.exists(data_dir / point.path):
        return
    if environment.backend == "sqlite" and os.path.exists(environment.database):
        return  # it was moved by hand
    raise ConfigError(
        f"{data_dir / COMMIT_POINT}: swap {point.swap} has moved the data to {point.named}, which "
        "is not there: mount its disk, or `holdfast restore` a backup; or remove that file, to "
        "begin with what the config names, which may be nothing"
    )


def _is_same_dsn(one: str, other: str) -> bool:
    """Whether they lead to one database, as far as can be told while nobody is asked."""
    if one == other:
        return True
    try:
        from holdfast.storage.postgresql.connection import is_same_place

        return is_same_place(*(str(resolved(dsn, "[storage] dsn")) for dsn in (one, other)))
    except (ImportError, ConfigError):  # who needs it says so
        return False


def _in_place_of(storage: StorageSettings, point: CommitPoint) -> StorageSettings:
    return msgspec.structs.replace(
        storage,
        backend=point.backend,
        path=point.path or storage.path,
        dsn=point.dsn,
        durability="committed" if point.backend == "memory" else storage.durability,
    )
