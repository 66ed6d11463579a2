"""Retention against a plain list: whatever the rules, what is left is what they say."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import DiskFullError
from holdfast.storage.filters import glob_matches
from holdfast.storage.records import EventFilter
from holdfast.storage.retention import STEP
from holdfast.storage.retention_records import Deletions, Retention, Rule
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.stream_records import AppendStream
from holdfast.storage.subscriber_records import AcknowledgeEvents, StoreSubscriber
from tests.storage.conftest import Opener, ReaderOpener, StillClock
from tests.storage.faulty_vfs import FaultyDisk
from tests.storage.making import append, apply_one, event

LIMIT = 10_000
AT_ONCE = 1e9  # seconds for a slice: all of a round
TYPES = ("tool:call", "tool:result", "chat", "noise")
NOW = StillClock.now_us
DATA = ("{}", json.dumps("x" * 300), json.dumps("y" * 9_000), json.dumps("z" * 12_000))

bounds = st.fixed_dictionaries(
    {
        "max_age": st.sampled_from([0.0, 0.0, 5.0, 50.0]),
        "max_count": st.sampled_from([0, 0, 1, 7, 40]),
        "max_bytes": st.sampled_from([0, 0, 100, 5_000, 60_000]),
    }
)
retentions = st.builds(
    lambda globs, each, ignore: Retention(
        tuple(Rule(glob, **bound) for glob, bound in zip((*globs, "*"), each, strict=False)),
        ignore,
    ),
    st.lists(st.sampled_from(["tool:*", "*l", "chat"]), max_size=2, unique=True),
    st.lists(bounds, min_size=3, max_size=3),
    st.booleans(),
)
acts = st.one_of(
    # As lists they would mostly be short, and no rule would find anything.
    st.tuples(st.just("append"), st.tuples(st.integers(1, 80), st.integers(0, 2**32))),
    st.tuples(st.just("wait"), st.integers(1, 40)),
    st.tuples(st.just("acknowledge"), st.integers(1, 60)),
    st.tuples(st.just("subscribe"), st.integers(0, 100)),
    st.tuples(st.just("slices"), st.integers(1, 6)),
    st.tuples(st.just("round"), st.none()),
    st.tuples(st.just("restart"), st.none()),
)


class MovingClock(StillClock):
    """Wall time that the test moves; for slices it stands, so that each is one step."""

    def __init__(self) -> None:
        self.now_us = NOW

    def monotonic(self) -> float:
        return 0.0


class Model:
    """What is there, as a list, and what a round would leave of it."""

    def __init__(self, retention: Retention) -> None:
        self.retention = retention
        self.rows: list[tuple[int, str, int, str]] = []  # seq, type, time, data
        self.acked: int | None = None

    @property
    def limit(self) -> int:
        if self.acked is None or self.retention.ignore_subscribers:
            return 2**62
        return self.acked

    def rule_of(self, type: str) -> Rule | None:
        return next((r for r in self.retention.rules if glob_matches(r.types, type)), None)

    def of(self, rule: Rule) -> list[tuple[int, str, int, str]]:
        return [row for row in self.rows if self.rule_of(row[1]) is rule]

    def round(self, now_us: int) -> None:
        """Delete what the rules say."""
        for rule in self.retention.rules:
            if rule.max_age:
                cutoff = now_us - int(rule.max_age * 1e6)
                old = [row for row in self.of(rule) if row[2] < cutoff and row[0] <= self.limit]
                self.rows = [row for row in self.rows if row not in old]
            while rows := self.of(rule):
                too_many = 0 < rule.max_count < len(rows)
                too_large = 0 < rule.max_bytes < sum(map(size, rows))
                if rows[0][0] > self.limit or not (too_many or too_large):
                    break
                self.rows.remove(rows[0])


def size(row: tuple[int, str, int, str]) -> int:
    """Large data counts as it is, and as the null that stands for it."""
    _, type, _, data = row
    return len(type) + len("planner") + len(data) + (4 if len(data) > 8_192 else 0)


@contextmanager
def opened(folder: Path, retention: Retention, clock: MovingClock) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(
        folder / "x.db", daemon="d", durability="committed", clock=clock, retention=retention
    )
    try:
        yield database
    finally:
        database.close()


def left(reader: SqliteReader) -> list[tuple[int, str, int, str]]:
    """The rows with their data, which is there for every one of them."""
    rows = []
    for each in reader.events(EventFilter(), LIMIT):
        data: str | None = each.data
        if each.payload is not None:
            (data,) = reader.payloads([each.payload], 1)
        assert data is not None, "the payload of an event that is there"
        rows.append((each.seq, each.type, each.time_us, data))
    return rows


def numbers(reader: SqliteReader, sql: str) -> int:
    return reader._number(sql)


def check_order(before: list[tuple[int, str, int, str]], now: set[int], model: Model) -> None:
    """Of each rule what was deleted is older than what is left, and nobody waits for it."""
    for rule in model.retention.rules:
        rows = [row for row in before if model.rule_of(row[1]) is rule and row[0] <= model.limit]
        if not rule.max_age:
            is_left = [row[0] in now for row in rows]
            assert is_left == sorted(is_left), "a younger one before an older one"
        elif not (rule.max_count or rule.max_bytes):
            by_age = sorted(rows, key=lambda row: (row[2], row[1], row[0]))
            is_left = [row[0] in now for row in by_age]
            assert is_left == sorted(is_left), "a younger one before an older one"
    assert all(row[0] in now for row in before if row[0] > model.limit)


class Machine:
    """The database and the model, act by act."""

    def __init__(self, folder: Path, retention: Retention) -> None:
        self.folder = folder
        self.clock = MovingClock()
        self.model = Model(retention)
        self.deleted = 0
        self.generation = 0

    def run(self, script: list[tuple[str, object]]) -> None:
        script = [("append", (50, 1)), *script]
        while script:
            with opened(self.folder, self.model.retention, self.clock) as self.database:
                self.reader = SqliteReader(self.folder / "x.db")
                while script:
                    act, what = script.pop(0)
                    if act == "restart":
                        break
                    getattr(self, act)(what)
                self.reader.close()

    def append(self, what: tuple[int, int]) -> None:
        count, seed = what
        chance = random.Random(seed)
        frame = []
        for _ in range(count):
            type, data = chance.choice(TYPES), chance.choices(DATA, (5, 5, 1, 1))[0]
            time_us = self.clock.now_us + chance.randint(-100, 20) * 1_000_000
            frame.append((time_us, *event(type=type, data=data)[1:]))
        first = append(self.database, frame).first_seq
        self.model.rows += [(first + n, row[1], row[0], row[10]) for n, row in enumerate(frame)]

    def wait(self, seconds: int) -> None:
        self.clock.now_us += seconds * 1_000_000

    def subscribe(self, behind: int) -> None:
        if self.model.acked is None:
            start = max(0, self.database.last_seq - behind)
            store = StoreSubscriber(None, "s", "{}", "o", start)
            self.generation = apply_one(self.database, store).generation  # type: ignore[union-attr]  # SubscriberStored
            self.model.acked = start

    def acknowledge(self, more: int) -> None:
        if self.model.acked is not None:
            seq = min(self.database.last_seq, self.model.acked + more)
            apply_one(self.database, AcknowledgeEvents(None, "s", self.generation, seq))
            self.model.acked = max(self.model.acked, seq)

    def slices(self, count: int) -> None:
        for _ in range(count):
            before = self.model.rows
            slice = self.database.retain(0.0)
            self.model.rows = left(self.reader)
            now = {row[0] for row in self.model.rows}
            gone = {row[0] for row in before} - now
            told = [seq for first, last in slice.gone for seq in range(first, last + 1)]
            assert set(told) == gone
            assert sum(each.count for each in slice.deletions) == len(gone)
            check_order(before, now, self.model)
            self.deleted += len(gone)
            self.check_tables()
            if slice.is_done:
                break

    def round(self, _: None) -> None:
        self.slices(LIMIT)  # what was under way
        plan = None
        while plan is None:
            plan = self.database.plan_retention(0.0)
        before = {row[0]: row for row in self.model.rows}
        expected = Model(self.model.retention)
        expected.rows, expected.acked = list(self.model.rows), self.model.acked
        expected.round(self.clock.now_us)
        self.slices(LIMIT)
        assert self.model.rows == expected.rows
        gone = set(before) - {row[0] for row in self.model.rows}
        assert sum(each.count for each in plan) == len(gone)
        assert sum(each.bytes for each in plan) == sum(size(before[seq]) for seq in gone)

    def check_tables(self) -> None:
        orphans = "SELECT count(*) FROM payloads WHERE ref NOT IN (SELECT payload FROM events WHERE payload IS NOT NULL)"  # noqa: E501  # one statement
        assert numbers(self.reader, orphans) == 0
        assert numbers(self.reader, "SELECT coalesce(sum(count), 0) FROM deleted") == self.deleted


@settings(max_examples=25, deadline=None)
@given(retention=retentions, script=st.lists(acts, min_size=3, max_size=14))
def test_what_is_left_is_what_the_rules_say_and_the_oldest_went_first(
    retention: Retention, script: list[tuple[str, object]]
) -> None:
    with TemporaryDirectory() as folder:
        Machine(Path(folder), retention).run([*script, ("round", None)])


def fill(database: SqliteDatabase, count: int, *, data: str = '"some text"') -> None:
    for first in range(0, count, 1_000):
        append(database, [event(n, data=data) for n in range(first, min(count, first + 1_000))])


def test_numbers_are_never_used_again_when_everything_is_deleted(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    retention = Retention((Rule("*", max_age=1.0),))
    database = open_database(retention=retention)
    fill(database, 100)
    assert database.retain(AT_ONCE).gone == [(1, 100)]
    assert open_reader().last_seq() == 100
    database.close()
    assert append(open_database(retention=retention), [event()]).first_seq == 101


def test_a_stream_keeps_its_version_and_its_later_events(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    database = open_database(retention=Retention((Rule("*", max_count=2),)))
    rows = [(1, "t", "s", "a", None, None, None, None, 0, None, str(n)) for n in range(5)]
    apply_one(database, AppendStream(None, "a", 0, rows))
    database.retain(AT_ONCE)
    part = open_reader().stream("a", 0, 10)
    assert (part.version, [version for version, _ in part.events]) == (5, [4, 5])


def test_the_file_shrinks_by_and_by_but_for_what_comes_next(
    open_database: Opener, path: Path
) -> None:
    database = open_database(retention=Retention((Rule("*", max_age=1.0),)))
    fill(database, 30_000, data=json.dumps("x" * 500))
    database._wal.empty()
    large = path.stat().st_size
    slices = 1
    while not database.retain(0.0).is_done:
        slices += 1
        database.checkpoint()
    assert slices > 30_000 / STEP
    database._wal.empty()
    assert path.stat().st_size < large / 3
    assert path.stat().st_size < 6 * 2**20


def test_a_full_disk_takes_a_slice_back_and_the_next_one_goes_on(
    disk: FaultyDisk, open_database: Opener, open_reader: ReaderOpener
) -> None:
    database = open_database(vfs=disk.name, retention=Retention((Rule("*", max_count=10),)))
    fill(database, 500)
    while not database.retain(0.0).gone:
        pass
    disk.fault = apsw.FullError
    with pytest.raises(DiskFullError):
        database.retain(AT_ONCE)
    disk.fault = None
    reader = open_reader()
    counted = reader.count(EventFilter()) + numbers(reader, "SELECT sum(count) FROM deleted")
    assert counted == 500
    deletions: list[Deletions] = []
    while True:
        slice = database.retain(AT_ONCE)
        deletions += slice.deletions
        if slice.is_done:
            break
    assert reader.count(EventFilter()) == 10
    assert numbers(reader, "SELECT sum(count) FROM deleted") == 490


def test_other_rules_count_again(open_database: Opener, open_reader: ReaderOpener) -> None:
    database = open_database(retention=Retention((Rule("tool:*", max_count=20),)))
    fill(database, 50)
    database.retain(AT_ONCE)
    database.close()
    database = open_database(retention=Retention((Rule("chat"), Rule("tool:*", max_count=5))))
    database.retain(AT_ONCE)
    assert open_reader().count(EventFilter()) == 5


@pytest.mark.parametrize("rule", [Rule("*", max_age=1.0), Rule("*", max_count=1)])
@pytest.mark.parametrize("ignores", [False, True])
def test_what_a_named_subscriber_has_still_to_read_stays(
    open_database: Opener, open_reader: ReaderOpener, rule: Rule, ignores: bool
) -> None:
    database = open_database(retention=Retention((rule,), ignore_subscribers=ignores))
    fill(database, 50)
    for name, start in (("slow", 10), ("quick", 40)):
        apply_one(database, StoreSubscriber(None, name, "{}", "o", start))
    database.retain(AT_ONCE)
    reader = open_reader()
    oldest = [row[0] for row in reader.newest(100)]
    if ignores:
        assert len(oldest) == rule.max_count
        return
    assert oldest[0] == 11
    apply_one(database, AcknowledgeEvents(None, "slow", 1, 45))
    database.retain(AT_ONCE)
    assert reader.newest(100)[0][0] == 41
