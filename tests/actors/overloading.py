"""Putting the event log under load, and adding up what became of the events."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import msgspec

import holdfast
from holdfast.actors.hub import Hub
from holdfast.actors.messages import log
from holdfast.testing import TIMEOUT, Daemon


@contextmanager
def stopped(daemon: Daemon, name: str) -> Iterator[None]:
    """The actor's process does nothing meanwhile."""
    pid = daemon.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # killed meanwhile
            os.kill(pid, signal.SIGCONT)


def stats(daemon: Daemon) -> log.LogStats:
    """Asked by a sender of its own: a question waits behind what its sender has no credit for."""
    with holdfast.connect(daemon.run_dir) as watcher:
        return msgspec.convert(watcher.ask("log", log.Stats(), timeout=TIMEOUT), log.LogStats)


def wait_for_mode(daemon: Daemon, mode: str) -> None:
    daemon.until(lambda: stats(daemon).mode == mode)


def rows(daemon: Daemon, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def committed(daemon: Daemon) -> list[int]:
    sql = "SELECT data FROM events WHERE type = 'n' ORDER BY seq"
    return [int(data) for (data,) in rows(daemon, sql)]


def notices(daemon: Daemon) -> list[dict[str, Any]]:
    sql = "SELECT data FROM events WHERE type = 'log:overload' ORDER BY seq"
    return [json.loads(data) for (data,) in rows(daemon, sql)]


def check_conservation(daemon: Daemon, hub: Hub) -> None:
    """Scenario D3: what was emitted is in the table, or a row says why not, and of which."""
    emitted = hub.events.accepted
    stored = committed(daemon)
    # The supervisors tell of deaths by events too, numbered by themselves.
    ours = "WHERE sender LIKE 'client/%' ORDER BY first"
    losses = rows(daemon, f"SELECT first, last, count FROM dropped {ours}")
    lost = [n for first, last, _ in losses for n in range(first - 1, last)]
    assert hub.events.pending == 0
    assert sorted(stored + lost) == list(range(emitted))
    assert stored == sorted(stored)
    assert hub.events.dropped == len(lost) == sum(count for _, _, count in losses)
    assert len(stored) == emitted - hub.events.dropped


def emit(hub: Hub, first: int, count: int) -> None:
    for n in range(first, first + count):
        hub.events.emit("n", n)
