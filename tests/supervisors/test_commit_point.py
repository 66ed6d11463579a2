"""Which database a start is with: what the commit point says, and what becomes of a broken one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from holdfast.clock import SystemClock
from holdfast.errors import ConfigError
from holdfast.supervisors.commit_point import (
    COMMIT_POINT,
    CommitPoint,
    Obeyed,
    obey,
    read_point,
    settle,
    write_point,
)
from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.config_file import Read
from holdfast.supervisors.plan import environment_of, root_spec
from tests.commandline import command_line

POSTGRESQL = '[storage]\nbackend = "postgresql"\ndsn = "env:HOME"\n'


def read(folder: Path, text: str) -> Read:
    settings = parse_settings(text, file="x.toml")
    environment = environment_of(settings, data_dir=folder, run_dir=folder)
    return Read(settings, root_spec(settings), environment, None)


def obeyed(folder: Path, text: str) -> Obeyed:
    return obey(read(folder, text))


def test_a_first_start_writes_what_the_config_names(tmp_path: Path) -> None:
    settle(obeyed(tmp_path, "[storage]\npath = 'a.db'"), clock=SystemClock())
    point = read_point(tmp_path)
    assert point is not None
    assert (point.backend, point.path, point.dsn, point.swap) == ("sqlite", "a.db", "", "")
    assert (tmp_path / COMMIT_POINT).stat().st_mode & 0o777 == 0o600


def test_it_wins_over_the_config_and_is_told(tmp_path: Path) -> None:
    write_point(tmp_path, CommitPoint("postgresql", "2026-01-01T00:00:00Z", dsn="env:HOME"))
    found = obeyed(tmp_path, "[storage]\nfull_text = true")
    assert (found.read.environment.backend, found.read.environment.dsn) == (
        "postgresql",
        "env:HOME",  # and no process but those that need it reads more
    )
    assert found.read.settings.storage.full_text
    assert "the data is in postgresql since 2026-01-01T00:00:00Z" in found.notice
    assert not obeyed(tmp_path, POSTGRESQL).notice


def test_a_dsn_that_was_wrong_from_the_first_start_is_told_with_the_way_out(tmp_path: Path) -> None:
    """No reload moves what was never there; after a swap the data is there, and it is not said."""
    first = CommitPoint("postgresql", "s", dsn="host=wrong dbname=b")
    write_point(tmp_path, first)
    right = '[storage]\nbackend = "postgresql"\ndsn = "host=right dbname=b"\n'
    for text in ("", right):
        assert "stop the daemon and remove that file" in obeyed(tmp_path, text).notice
    write_point(tmp_path, msgspec.structs.replace(first, swap="1-a"))
    assert "remove" not in obeyed(tmp_path, right).notice


def test_another_password_of_the_same_database_is_taken_from_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was changed while the daemon was down: with the old one nobody is let in."""
    before = CommitPoint("postgresql", "s", dsn="postgresql://me:old@h/b", swap="1-a")
    write_point(tmp_path, before)
    monkeypatch.setenv("DSN", "host=h user=you password=new dbname=b connect_timeout=9")
    found = obeyed(tmp_path, '[storage]\nbackend = "postgresql"\ndsn = "env:DSN"\n')
    assert (found.read.environment.dsn, found.notice) == ("env:DSN", "")
    settle(found, clock=SystemClock())
    assert read_point(tmp_path) == msgspec.structs.replace(before, dsn="env:DSN")
    for other in ("host=h dbname=c", "host=i dbname=b", "host=h port=1 dbname=b", "x"):
        found = obeyed(tmp_path, f'[storage]\nbackend = "postgresql"\ndsn = "{other}"\n')
        assert found.notice, other
        assert found.read.environment.dsn == "env:DSN"
    monkeypatch.delenv("DSN")
    assert obeyed(tmp_path, '[storage]\nbackend = "postgresql"\ndsn = "host=h dbname=b"\n').notice


def test_where_nothing_is_any_more_the_config_counts(tmp_path: Path) -> None:
    """A file that was moved by hand."""
    write_point(tmp_path, CommitPoint("sqlite", "2026-01-01T00:00:00Z", path="a.db"))
    found = obeyed(tmp_path, "[storage]\npath = 'b.db'")
    assert found.read.environment.database == str(tmp_path / "b.db")
    settle(found, clock=SystemClock())
    point = read_point(tmp_path)
    assert point is not None
    assert point.path == "b.db"


@pytest.mark.parametrize("path", ["a.db", "b.db"])
def test_where_a_swap_has_moved_the_data_to_a_disk_that_is_not_mounted_nothing_starts(
    tmp_path: Path, path: str
) -> None:
    """With another config neither, unless that names a database that is there."""
    write_point(tmp_path, CommitPoint("sqlite", "s", path="a.db", swap="1-a"))
    found = obeyed(tmp_path, f"[storage]\npath = '{path}'")
    with pytest.raises(ConfigError, match=r"swap 1-a has moved the data to sqlite \(a\.db\)"):
        settle(found, clock=SystemClock())
    assert [each.name for each in tmp_path.iterdir()] == [COMMIT_POINT]
    (tmp_path / path).touch()
    settle(found, clock=SystemClock())


def test_one_that_changes_under_a_start_ends_it(tmp_path: Path) -> None:
    found = obeyed(tmp_path, "")
    write_point(tmp_path, CommitPoint("memory", "2026-01-01T00:00:00Z"))
    with pytest.raises(ConfigError, match="start again"):
        settle(found, clock=SystemClock())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        b'{"backend": "sql',
        b'{"backend": "mysql", "since": "x"}',
        b'{"backend": "sqlite", "since": "x"}',
        b'{"backend": "postgresql", "since": "x"}',
        b'{"backend": "sqlite"}',
        b"\xff\xfe",
    ],
)
def test_a_torn_one_or_garbage_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / COMMIT_POINT).write_bytes(data)
    with pytest.raises(ConfigError, match=str(tmp_path / COMMIT_POINT)):
        obeyed(tmp_path, "")


def test_a_daemon_with_a_broken_one_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("")
    folder = tmp_path / "var/lib"
    folder.mkdir(parents=True)
    (folder / COMMIT_POINT).write_text("{")
    run = command_line(tmp_path, "start", "x.toml")
    assert run.returncode == 3
    assert f"{COMMIT_POINT}: it says where the data is" in run.stderr
    assert [each.name for each in folder.iterdir()] == [COMMIT_POINT]


def test_any_of_its_words_survives_writing(tmp_path: Path) -> None:
    point = CommitPoint("postgresql", "s", dsn="host='a b' \"x\"", swap="1-a")
    write_point(tmp_path, point)
    assert read_point(tmp_path) == point
    assert msgspec.json.decode((tmp_path / COMMIT_POINT).read_bytes())["swap"] == "1-a"
