"""A file system that is really full (scenario D3): nothing is lost, or it is counted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.actors.overloading import check_conservation, committed, notices, rows, stats
from tests.daemon import CONFIG, TIMEOUT, Daemon

Resize = Callable[[str], None]

FULL = 3_000  # events of 2 KiB: more than 4 MiB hold


def _mount(*arguments: str | Path) -> bool:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def small_disk(where: Path) -> Iterator[Resize]:
    """A file system of 4 MiB, until it is resized."""
    where.mkdir(parents=True)
    if not _mount("-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", where):
        pytest.skip("only root, with the right to mount, can make a small file system")
    try:
        yield lambda size: _resize(where, size)
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def _resize(where: Path, size: str) -> None:
    assert _mount("-o", f"remount,size={size}", where)


def is_said(daemon: Daemon, text: str) -> bool:
    return text in daemon.log.read_text()


@pytest.mark.parametrize("thresholds", ["", "[actors.log]\ndrop_at = 500\nflush_at = 2_000\n"])
def test_what_a_full_disk_did_not_take_is_stored_or_counted_once_there_is_room(
    tmp_path: Path, thresholds: str
) -> None:
    with (
        small_disk(tmp_path / "var" / "lib") as resize,
        Daemon(tmp_path, CONFIG + thresholds) as daemon,
    ):
        hub = daemon.hub
        pids = {name: daemon.pid(name) for name in ("log", "writer")}
        for n in range(FULL):
            hub.events.emit("n", n, subject="x" * 1_000, session="x" * 1_000)
        daemon.until(lambda: is_said(daemon, "disk is full"))
        daemon.until(lambda: not thresholds or stats(daemon).mode == "flush")
        assert hub.events.pending > 0
        assert hub.events.query(limit=1, reverse=True)[0].seq > 0, "reading goes on"
        resize("64m")
        hub.flush(timeout=TIMEOUT)
        assert {name: daemon.pid(name) for name in pids} == pids, "nobody had to restart"
        check_conservation(daemon, hub)
        if thresholds:
            assert hub.events.dropped > 0
            assert "flush" in {notice["mode"] for notice in notices(daemon)}
        else:
            assert committed(daemon) == list(range(FULL))
        assert rows(daemon, "PRAGMA integrity_check") == [("ok",)]
