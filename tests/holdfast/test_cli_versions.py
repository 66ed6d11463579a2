"""A command line and a daemon of different versions: each says which of them is too old."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from holdfast.actors.wire import VERSION
from holdfast.cli.app import run
from tests.daemon import Daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("versions")) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def sigterm() -> Iterator[None]:
    """The command line takes it over, and runs in the process of the tests here."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("version", "older"), [(VERSION - 1, "the program"), (VERSION + 1, "the daemon")]
)
def test_the_daemon_says_who_is_too_old(
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    version: int,
    older: str,
) -> None:
    monkeypatch.setattr("holdfast.actors.link.VERSION", version)
    assert run(["status", "--run-dir", str(daemon.run_dir)]) == 1
    said = capfd.readouterr().err
    assert f"speaks version {VERSION} of the protocol, not {version}: {older} is too old" in said
    assert "Traceback" not in said


def test_one_of_the_same_version_is_answered(
    daemon: Daemon, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--run-dir", str(daemon.run_dir)]) == 0
    assert "writer" in capfd.readouterr().out
