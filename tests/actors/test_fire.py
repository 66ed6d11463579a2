"""FIFO and conservation under fire (scenario 32): four senders, and what they write to is killed.

The oracles are outside of the tree: the rows of the database, and a file.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.actors.firing import CONFIG, chance, committed, fire, wait_for
from tests.actors.scribe import Entry, entries, length
from tests.actors.sending import ROOT, orders, senders
from tests.daemon import Daemon

SENDERS = 4

SCRIBE = """
[agents.scribe]
class = "tests.actors.scribe:Scribe"
python_path = ["{root}"]
options = {{ path = "{path}" }}
"""

# Messages of each sender, kills, seconds for all of it.
RUNS = [
    pytest.param(6_000, 10, 60.0, id="short"),
    pytest.param(250_000, 200, 1_200.0, id="long", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("count", "kills", "timeout"), RUNS)
def test_events_of_four_senders_are_committed_in_order_without_duplicate_or_gap(
    tmp_path: Path, count: int, kills: int, timeout: float
) -> None:
    """Scenario 32: ``log``, ``writer`` or both are killed at random moments."""
    total = SENDERS * count
    with (
        Daemon(tmp_path, CONFIG) as daemon,
        committed(daemon) as progress,
        senders(daemon, orders(SENDERS, count=count, timeout=timeout)) as started,
    ):
        fire(
            daemon,
            chance=chance(),
            victims=[["log"], ["writer"], ["log", "writer"]],
            at_a_step=["writer"],
            progress=progress,
            total=total,
            kills=kills,
        )
        for sender in started:
            outcome = sender.finish()
            assert (outcome.sent, outcome.pending) == (count, 0)
            assert (outcome.dropped, outcome.duplicates, outcome.rejected) == (0, 0, 0)
        check_committed(daemon, count)
        assert sum(daemon.child(name).restarts for name in ("log", "writer")) >= kills


def check_committed(daemon: Daemon, count: int) -> None:
    """Per sender: every number once and in order; and no hole in what the writer counts."""
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
        for name in range(SENDERS):
            sql = "SELECT data FROM events WHERE source = ? ORDER BY seq"
            stored = [int(data) for (data,) in viewer.execute(sql, (f"s{name}",))]
            assert stored == list(range(count)), f"sender {name}"
        rows, newest = viewer.execute("SELECT count(*), max(seq) FROM events").fetchone()
        assert rows == newest, "a hole in the sequence numbers"
        assert viewer.execute("SELECT count(*) FROM dropped").fetchone() == (0,)
        assert viewer.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(("count", "kills", "timeout"), RUNS)
def test_tells_of_four_senders_arrive_in_order_and_only_marked_ones_twice(
    tmp_path: Path, count: int, kills: int, timeout: float
) -> None:
    """Scenario 32, at an agent, which is killed at random moments."""
    path = tmp_path / "handled"
    total = SENDERS * count
    with (
        Daemon(tmp_path, CONFIG + SCRIBE.format(root=ROOT, path=path)) as daemon,
        senders(daemon, orders(SENDERS, count=count, to="scribe", timeout=timeout)) as started,
    ):
        fire(
            daemon,
            chance=chance(),
            victims=[["scribe"]],
            at_a_step=["scribe"],
            progress=lambda: length(path),
            total=total,
            kills=kills,
        )
        wait_for(lambda: length(path), total, timeout=timeout)
        for sender in started:
            assert sender.finish().sent == count
        assert daemon.child("scribe").restarts == kills
    check_handled(path, count)


def check_handled(path: Path, count: int) -> None:
    """Per sender: nothing missing, in order within each life, a repeat only where it is marked."""
    highest = [-1] * SENDERS
    last = [(0, -1)] * SENDERS
    for sender, n, redelivered, life in entries(path):
        before_life, before = last[sender]
        assert n == before + 1 if life == before_life else life > before_life, (sender, n, life)
        assert n <= highest[sender] + 1, f"sender {sender}: {highest[sender] + 1} to {n} missing"
        assert n > highest[sender] or redelivered, f"sender {sender}: {n} again, not marked"
        highest[sender] = max(highest[sender], n)
        last[sender] = life, n
    assert highest == [count - 1] * SENDERS


def test_the_oracle_sees_what_it_is_for(tmp_path: Path) -> None:
    """A loss, a repeat without its mark, and an order that is not kept."""
    handled = tmp_path / "handled"
    good = [Entry(sender, n, False, 1) for sender in range(SENDERS) for n in range(3)]
    again = [*good, *(Entry(0, n, True, 2) for n in range(3))]
    missing = [entry for entry in good if entry[:2] != (1, 1)]
    not_marked = [*again[:-1], Entry(0, 2, False, 2)]
    in_disorder = [good[0], good[2], good[1], *good[3:]]
    for right in (good, again):
        handled.write_bytes(b"".join(entry.line for entry in right))
        check_handled(handled, 3)
    for wrong in (missing, not_marked, in_disorder, good[:-1]):
        handled.write_bytes(b"".join(entry.line for entry in wrong))
        with pytest.raises(AssertionError):
            check_handled(handled, 3)
    assert length(handled) == len(good) - 1
