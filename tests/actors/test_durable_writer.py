"""Scenario 37: a writer that is killed again and again, and senders that only have their keys."""

from __future__ import annotations

import random
import sqlite3
import subprocess
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TextIO

import pytest

from tests import forkserver
from tests.actors.firing import CONFIG, chance, committed, wait_for
from tests.daemon import TIMEOUT, Daemon
from tests.forkserver import ROOT

SENDERS = ("s0", "s1", "s2", "s3")


@pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(300, 10, id="short"),
        pytest.param(5_000, 50, id="long", marks=pytest.mark.slow),
    ],
)
def test_every_acknowledged_row_is_there_once_though_the_writer_is_killed(
    tmp_path: Path, count: int, kills: int
) -> None:
    journals = {name: tmp_path / f"{name}.journal" for name in SENDERS}
    with Daemon(tmp_path, CONFIG) as daemon, ExitStack() as stack:
        hub = daemon.hub
        senders = [
            start(daemon, name, count, stack.enter_context(journal.open("w")))
            for name, journal in journals.items()
        ]
        kill(daemon, chance(), total=len(SENDERS) * count, kills=kills)
        for sender in senders:
            assert sender.wait(TIMEOUT + count / 50) == 0
        # A restarted ring is as the database is, without a gap.
        daemon.wait_for_another("log", daemon.kill("log"))
        newest = hub.events.query(limit=500, reverse=True)
        assert [event.seq for event in newest] == list(
            range(newest[0].seq, newest[0].seq - len(newest), -1)
        )
        check(daemon, journals, count)


def start(daemon: Daemon, name: str, count: int, journal: TextIO) -> subprocess.Popen[bytes]:
    command = ["tests.actors.keyed_sender", str(daemon.run_dir), name]
    return forkserver.Popen[bytes]([*command, str(count)], cwd=ROOT, stdout=journal)


def kill(daemon: Daemon, chance: random.Random, *, total: int, kills: int) -> None:
    with committed(daemon) as progress:
        done = progress()
        for left in range(kills, 0, -1):
            done = wait_for(progress, done + int((total - done) / (left + 1) * chance.random()))
            daemon.kill("writer")


def check(daemon: Daemon, journals: dict[str, Path], count: int) -> None:
    """What each sender was told is what another SQLite finds."""
    path = f"file:{daemon.database}?mode=ro"
    with closing(sqlite3.connect(path, uri=True)) as viewer:
        rows = viewer.execute("SELECT source, key, seq FROM events WHERE type = 'keyed'").fetchall()
        assert viewer.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert viewer.execute("SELECT count(*) FROM dropped").fetchone() == (0,)
        seqs = [seq for (seq,) in viewer.execute("SELECT seq FROM events ORDER BY seq")]
    stored = {(source, key): seq for source, key, seq in rows}
    assert set(Counter((source, key) for source, key, _ in rows).values()) == {1}
    assert seqs == list(range(1, len(seqs) + 1))
    repeated = 0
    for name, journal in journals.items():
        lines = [tuple(map(int, line.split())) for line in journal.read_text().splitlines()]
        assert [n for n, _, _ in lines] == list(range(count))
        assert [seq for _, seq, _ in lines] == [stored[name, str(n)] for n in range(count)]
        assert [seq for _, seq, _ in lines] == sorted(seq for _, seq, _ in lines)
        repeated += sum(again for _, _, again in lines)
    assert len(stored) == len(journals) * count
    print(f"{repeated} were committed when their sender heard of a death")
