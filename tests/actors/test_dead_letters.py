"""Dead letters and losses in a real daemon: kept once, and kept for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from holdfast.actors.hub import Hub
from holdfast.actors.messages.query import (
    DeadLettersAre,
    DroppedAre,
    GetDeadLetter,
    ListDeadLetters,
    ListDropped,
)
from holdfast.actors.messages.writer import (
    DiscardDeadLetter,
    Discarded,
    KeepDeadLetter,
    Kept,
    Skip,
)
from holdfast.errors import GapError, InvalidInputError
from holdfast.storage.records import Appended, DeadLetter, Origin
from tests.daemon import TIMEOUT, Daemon


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as daemon:
        yield daemon


def letter(number: int, size: int = 10) -> DeadLetter:
    body = msgspec.msgpack.encode("x" * size)
    who = ("critic", "planner", "1.1", "critic", number, "tell")
    return DeadLetter(0, *who, "poison: killed by signal 9", 2, 1_700_000_000_000_000, body)


def keep(hub: Hub, kept: DeadLetter) -> int:
    return msgspec.convert(hub.ask("writer", KeepDeadLetter(kept), timeout=TIMEOUT), Kept).id


def letters(hub: Hub, limit: int = 100) -> DeadLettersAre:
    reply = hub.ask("query", ListDeadLetters(limit), timeout=TIMEOUT)
    return msgspec.convert(reply, DeadLettersAre)


def test_a_kept_letter_survives_the_death_of_everything(daemon: Daemon) -> None:
    id = keep(daemon.hub, letter(1))
    daemon.process.kill()
    daemon.restart()
    assert [each.id for each in letters(daemon.hub).letters] == [id]


def test_a_letter_is_kept_once_however_often_its_keeper_asks(daemon: Daemon) -> None:
    ids = set()
    for n in range(40):
        if n % 10 == 5:
            daemon.kill("writer")
        ids.add((n % 4, keep(daemon.hub, letter(n % 4))))
    assert len(ids) == len(letters(daemon.hub).letters) == 4


def test_a_discarded_letter_is_gone_and_its_id_with_it(daemon: Daemon) -> None:
    hub = daemon.hub
    first = keep(hub, letter(1))
    for existed in (True, False):
        reply = hub.ask("writer", DiscardDeadLetter(first), timeout=TIMEOUT)
        assert msgspec.convert(reply, Discarded).existed is existed
    assert hub.ask("query", GetDeadLetter(first), timeout=TIMEOUT) == ["dead_letter", None]
    assert keep(hub, letter(1)) > first


def test_letters_that_fill_a_frame_come_in_part_and_say_so(daemon: Daemon) -> None:
    for number in range(5):
        keep(daemon.hub, letter(number, 1_500_000))
    found = letters(daemon.hub)
    assert [each.number for each in found.letters] == [4, 3]
    assert found.more
    assert letters(daemon.hub, 1).more


def test_a_limit_below_1_is_refused(daemon: Daemon) -> None:
    for message in (ListDeadLetters(0), ListDropped(0)):
        with pytest.raises(InvalidInputError, match="limit = 0"):
            daemon.hub.ask("query", message, timeout=TIMEOUT)


def test_a_tombstone_is_acknowledged_once_its_row_is_committed(daemon: Daemon) -> None:
    hub = daemon.hub
    skip = Skip(Origin("planner", "1.1", "log", 1), 7, "overload:drop")
    reply = msgspec.convert(hub.ask("writer", skip, timeout=TIMEOUT), Appended)
    assert (reply.mark, reply.stored, reply.dropped) == (7, 0, 7)
    with closing(sqlite3.connect(f"file:{daemon.database}?mode=ro", uri=True)) as viewer:
        row = viewer.execute("SELECT sender, first, last, count, reason FROM dropped").fetchone()
    assert row == ("planner", 1, 7, 7, "overload:drop")
    found = msgspec.convert(hub.ask("query", ListDropped(), timeout=TIMEOUT), DroppedAre)
    assert (found.count, [each.reason for each in found.losses]) == (7, ["overload:drop"])


def test_a_gap_is_told_to_its_sender_and_the_writer_lives(daemon: Daemon) -> None:
    pid = daemon.pid("writer")
    first, late = (Skip(Origin("planner", "1.1", "log", number), 2, "x") for number in (1, 9))
    daemon.hub.ask("writer", first, timeout=TIMEOUT)
    with pytest.raises(GapError, match="number 9, but the next one is 3"):
        daemon.hub.ask("writer", late, timeout=TIMEOUT)
    assert daemon.pid("writer") == pid
