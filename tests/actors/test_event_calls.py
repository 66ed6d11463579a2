"""What a program asks about events: by each condition, by number, behind a cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import CursorError, Event, Hub, InvalidInputError, aio, connect
from holdfast.actors.trees import Tree
from holdfast.errors import CapacityError
from tests.daemon import CONFIG, TIMEOUT, Daemon

# A ring that holds a few: older ones come from the database.
SMALL_RING = CONFIG + "[actors.log]\ncapacity = 8\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), SMALL_RING) as daemon:
        yield daemon


@pytest.fixture
def hub(daemon: Daemon) -> Iterator[Hub]:
    with connect(daemon.run_dir) as hub:
        yield hub


def seqs(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


def test_subject_and_correlation_are_conditions_wherever_the_answer_comes_from(hub: Hub) -> None:
    start = hub.events.cursor()
    for n in range(20):
        hub.events.emit("t", n, subject=f"subject {n % 2}", correlation=f"c{n % 4}")
    hub.flush()
    for after in (start, 0):  # from the ring and the database, and from the database alone
        found = hub.events.query(subject="subject 1", after=after)
        assert [event.data for event in found] == list(range(1, 20, 2))
        found = hub.events.query(correlation="c3", subject="subject 1", after=after, limit=2)
        assert [event.data for event in found] == [3, 7]
        assert hub.events.count(correlation="c2", after=after) == 5
    newest = hub.events.query(correlation="c0", limit=1, reverse=True)
    assert [event.data for event in newest] == [16]


def test_more_data_than_a_query_has_room_for_is_refused_before_it_is_held(hub: Hub) -> None:
    start = hub.events.cursor()
    for _ in range(20):
        hub.events.emit("heavy", "x" * 1_000)
    hub.flush()
    for reverse in (False, True):
        found = hub.events.query(types="heavy", after=start, reverse=reverse, max_bytes=21_000)
        assert len(found) == 20
        for limit in (3, 20):  # three of the newest are in the ring
            with pytest.raises(CapacityError, match="over 2000 bytes: ask for fewer"):
                hub.events.query(
                    types="heavy", after=start, limit=limit, reverse=reverse, max_bytes=2_000
                )


def test_an_event_is_found_by_its_number(hub: Hub) -> None:
    before = hub.events.query(limit=1, reverse=True)[0].seq
    for n in range(20):
        hub.events.emit("numbered", n)
    hub.flush()
    for n in (0, 19):  # in the database, in the ring
        event = hub.events.get(before + 1 + n)
        assert event is not None
        assert (event.seq, event.data) == (before + 1 + n, n)
    assert hub.events.get(10**9) is None
    with pytest.raises(InvalidInputError, match="seq = 0"):
        hub.events.get(0)


def test_a_reader_goes_on_behind_the_cursor_that_it_stored(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon, connect(daemon.run_dir) as hub:
        for n in range(3):
            hub.events.emit("stored", n)
        hub.flush()
        first, second, third = hub.events.query(types="stored")
        stored = first.cursor
        assert seqs(hub.events.query(types="stored", after=stored)) == seqs([second, third])
        daemon.kill("writer")
        hub.events.emit("stored", 3)
        hub.flush()
        found = hub.events.query(types="stored", after=stored)
        assert [event.data for event in found] == [1, 2, 3]
        assert hub.events.count(types="stored", after=hub.events.cursor()) == 0
        # The log has heard of the new epoch by now, or hears of it with the next commit.
        hub.events.emit("stored", 4)
        hub.flush()
        (newest,) = hub.events.tail(1)
        assert epoch_of(newest) == epoch_of(first) + 1


def epoch_of(event: Event) -> int:
    return int(event.cursor.split(".")[0])


def test_the_epoch_in_which_an_event_was_read_makes_no_difference(hub: Hub) -> None:
    hub.events.emit("t", key="the same")
    hub.flush()
    (event,) = hub.events.query(limit=1, reverse=True)
    other = Event(**{name: getattr(event, name) for name in Event.__struct_fields__} | {"epoch": 9})
    assert other == event
    assert other.cursor != event.cursor


@pytest.mark.parametrize("cursor", ["99.1", f"1.{10**12}"])
def test_a_cursor_of_another_database_is_refused(hub: Hub, cursor: str) -> None:
    for ask in (hub.events.query, hub.events.count):
        with pytest.raises(CursorError, match="another database"):
            ask(after=cursor)


def test_what_is_no_cursor_or_no_condition_is_refused(hub: Hub) -> None:
    with pytest.raises(InvalidInputError, match=r"expected EPOCH\.SEQ"):
        hub.events.query(after="yesterday")
    with pytest.raises(InvalidInputError, match="after = True"):
        hub.events.query(after=True)
    with pytest.raises(TypeError, match="sesion"):
        hub.events.query(sesion="s1")  # type: ignore[call-arg]  # that is the point


def test_an_event_that_is_not_committed_has_no_cursor_and_no_id_without_a_key() -> None:
    event = Event(0, "d", 1, "t", "s", None, None, None, None, None, 0, None, None)
    for name in ("cursor", "id"):
        with pytest.raises(InvalidInputError, match="not committed"):
            getattr(event, name)
    keyed = Event(0, "d", 1, "t", "s", None, None, None, None, None, 0, "k", None)
    assert keyed.id == "k"


def test_an_effect_stands_below_its_cause_whoever_emitted_that(daemon: Daemon, hub: Hub) -> None:
    hub.events.emit("plan", key="plan 1", correlation="talk")
    hub.events.emit("call", key="call 1", cause="plan 1")
    hub.flush()
    with connect(daemon.run_dir, source="another") as other:
        (call,) = other.events.query(types="call", limit=1)
        other.events.emit("result", cause=call)
        other.flush()
        (result,) = other.events.query(types="result", limit=1)
        other.events.emit("note", cause=result)  # which has no key
        other.events.emit("note", cause=result, correlation="aside")
        other.flush(timeout=TIMEOUT)
    note, aside = hub.events.query(types="note")

    def place(event: Event) -> tuple[str | None, str | None, int, str | None]:
        return event.cause, event.root, event.depth, event.correlation

    assert place(call) == ("plan 1", "plan 1", 1, "talk")
    assert place(result) == ("call 1", "plan 1", 2, "talk")
    assert place(note) == (f"test/{result.seq}", "plan 1", 3, "talk")
    assert place(aside) == (f"test/{result.seq}", "plan 1", 3, "aside")


def test_an_effect_of_an_effect_that_has_a_key_inherits_too(hub: Hub) -> None:
    hub.events.emit("a", key="a1", correlation="chain")
    hub.events.emit("b", key="b1", cause="a1")
    hub.events.emit("c", cause="b1")
    hub.events.emit("d", cause="unheard of")
    hub.flush()
    found = hub.events.query(correlation="chain")
    assert [(e.type, e.root, e.depth) for e in found] == [
        ("a", None, 0),
        ("b", "a1", 1),
        ("c", "a1", 2),
    ]
    (unknown,) = hub.events.query(types="d")
    assert (unknown.root, unknown.depth, unknown.correlation) == ("unheard of", 1, None)


def test_chain_and_tree_hold_across_processes(daemon: Daemon, hub: Hub) -> None:
    """The last knew its cause by name only: neither root nor depth nor correlation."""
    hub.events.emit("plan", key="p1", correlation="talk 2")
    hub.events.emit("call", key="p2", cause="p1")
    with connect(daemon.run_dir, source="another") as other:
        hub.flush()
        (call,) = other.events.query(types="call", correlation="talk 2")
        other.events.emit("result", key="p3", cause=call)
        other.flush()
    with connect(daemon.run_dir, source="a third one") as other:
        other.events.emit("note", key="p4", cause="p3")
        other.events.emit("aside", cause="p4")
        other.flush()
    (aside,) = hub.events.query(types="aside")
    for start in (aside, aside.seq):
        chain = hub.events.chain(start)
        assert [event.type for event in chain] == ["plan", "call", "result", "note", "aside"]
    assert [event.key for event in hub.events.chain("p3")] == ["p1", "p2", "p3"]
    assert [event.key for event in hub.events.chain("p3", limit=2)] == ["p2", "p3"]
    assert hub.events.chain("nobody") == []
    for of in ("talk 2", "p1", call):
        tree = hub.events.tree(of)
        assert line_of(tree) == ["plan", "call", "result", "note", "aside"]
        assert (tree.count, tree.is_complete) == (5, True)
    cut = hub.events.tree("talk 2", depth=2)
    assert line_of(cut) == ["plan", "call"]
    assert (cut.count, cut.is_complete, cut.roots[0].children[0].hidden) == (5, False, 3)
    short = hub.events.tree("talk 2", limit=2)
    assert (short.count, short.is_complete) == (2, False)
    assert hub.events.tree("nobody").roots == []


def line_of(tree: Tree) -> list[str]:
    """The types of a tree without branches, from the top."""
    types, level = [], tree.roots
    while level:
        (node,) = level
        assert not node.is_orphan
        types.append(node.event.type)
        level = node.children
    return types


def test_a_chain_longer_than_a_page_comes_whole(hub: Hub) -> None:
    hub.events.emit("link", key="link 0")
    for n in range(1, 1_200):
        hub.events.emit("link", key=f"link {n}", cause=f"link {n - 1}")
    hub.flush()
    chain = hub.events.chain("link 1199", limit=5_000)
    assert [event.key for event in chain] == [f"link {n}" for n in range(1_200)]
    assert len(hub.events.chain("link 1199", limit=700)) == 700
    tree = hub.events.tree("link 0", depth=200)
    assert (tree.count, tree.is_complete) == (1_200, False)


def test_events_are_counted_by_type_and_time(hub: Hub) -> None:
    start = hub.events.cursor()
    for n in range(10):
        kind = "even" if n % 2 == 0 else "odd"
        hub.events.emit(kind, session=f"s{n % 3}", time_us=1_000_000 * n)
    hub.flush()
    by_type = hub.events.aggregate(after=start)
    assert [(each.start_us, each.type, each.count) for each in by_type] == [
        (None, "even", 5),
        (None, "odd", 5),
    ]
    by_time = hub.events.aggregate("type", bucket=4, after=start, types="even")
    assert [(each.start_us, each.count) for each in by_time] == [
        (0, 2),
        (4_000_000, 2),
        (8_000_000, 1),
    ]
    both = hub.events.aggregate(["session", "type"], after=start, until=5_000_000)
    assert [(each.session, each.type, each.count) for each in both] == [
        ("s0", "even", 1),
        ("s0", "odd", 1),
        ("s1", "even", 1),
        ("s1", "odd", 1),
        ("s2", "even", 1),
    ]
    (everything,) = hub.events.aggregate((), after=start)
    assert everything.count == 10
    with pytest.raises(InvalidInputError, match="by = 'data'"):
        hub.events.aggregate("data")


def test_asyncio_has_the_same_calls(daemon: Daemon) -> None:
    asyncio.run(ask_in_a_loop(daemon))


async def ask_in_a_loop(daemon: Daemon) -> None:
    async with aio.connect(daemon.run_dir) as hub:
        start = await hub.events.cursor()
        await hub.events.emit("first", key="async 1", correlation="async")
        await hub.events.emit("second", key="async 2", cause="async 1")
        await hub.flush()
        (second,) = await hub.events.query(types="second", after=start)
        await hub.events.emit("third", cause=second)
        await hub.flush()
        assert [event.type for event in await hub.events.chain("async 2")] == ["first", "second"]
        assert (await hub.events.tree("async")).count == 3
        assert len(await hub.events.aggregate(correlation="async")) == 3
        assert await hub.events.get(second.seq) == second
