"""One list of commands to SQLite and to PostgreSQL: outcomes, errors and rows are identical.

Of sessions, and of checkpoints that are forked, pinned and pruned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from holdfast.storage import parts
from holdfast.storage.checkpoint_records import (
    ClaimThread,
    ForkCheckpoint,
    Part,
    Piece,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
    UnpinCheckpoint,
)
from holdfast.storage.commands import Command, Once
from holdfast.storage.records import Event, Origin
from holdfast.storage.session_records import Session, SessionItem, SessionUse, StoreSessions
from tests.clock import ManualClock
from tests.conformance.sides import Asked, answer, both_sides, told

FEW = 4  # examples of an ordinary run
MOST = 2**63 - 1

# -- sessions -------------------------------------------------------------------------------------

IDS = ["a", "a\0", "a\1\2", "B", "é", "\uffff", "\U0001f600"]
ids = st.sampled_from(IDS)
texts = st.sampled_from(["{}", "[1e20]", '"\\u0000"', f'"{"é" * 9_000}"', "0.1"])
moments = st.sampled_from([1, 2, 3, -5, MOST])
small = st.integers(0, 3)
keys = st.sampled_from([None, "k", "K", "\0"])
spans = st.sampled_from([0.1, 1e-300, 5.0, float("inf")])
sessions = st.builds(
    Session,
    ids,
    texts,
    st.sampled_from(["1.1:1", "\1"]),
    small,
    moments,
    moments,
    spans,
    st.none() | spans,
    keys,
    st.just("{}"),
    small,
    small,
)
uses = st.builds(SessionUse, moments, moments, keys, st.just("{}"), small, small, ids, small)
items = st.builds(SessionItem, st.integers(1, 4), moments, keys, texts, ids, small)
events = st.builds(Event, moments, st.sampled_from(["t", "u"]), st.just("s"), key=keys)
stores = st.builds(
    StoreSessions,
    st.none(),
    st.lists(sessions, max_size=4),
    st.lists(ids, max_size=1),
    st.lists(events, max_size=2),
    st.just("answer"),
    st.lists(uses, max_size=3),
    st.lists(items, max_size=4),
)
# Refused, and with it all that came along.
bad_sessions = st.one_of(
    st.builds(lambda one: replace(one, id=""), sessions),
    st.builds(lambda one: replace(one, data="{"), sessions),
    st.builds(lambda one: replace(one, touched_us=2**63), sessions),
    st.builds(lambda one: replace(one, owner="\ud800"), sessions),
)
spoiled = st.builds(lambda store, bad: replace(store, put=[*store.put, bad]), stores, bad_sessions)


def about_sessions() -> Iterator[Asked]:
    """All that is there, by every way that leads there."""
    yield ("session_totals",)
    for id in (*IDS, ""):
        yield "session", id
        yield "session_items", id, 0, 100
        yield "session_items", id, 1, 2, True
        for created_us, key in ((0, "k"), (1, "K"), (2, "\0"), (3, "none")):
            yield "session_item", id, created_us, key
    for limit in (0, 2, 100):
        yield "idle_sessions", limit
        yield "expired_sessions", 2, limit
    for after, prefix, owner in (("", "", None), ("a", "a", None), ("", "é", "k"), ("B", "", "\0")):
        yield "list_sessions", 1, after, prefix, owner, 100
    yield "sessions", 100
    yield "sessions", -1
    yield "list_sessions", 2**63, "", "", None, 1


@settings(
    max_examples=FEW,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    commands=st.lists(st.one_of(stores, stores, stores, spoiled), min_size=3, max_size=8),
    is_group=st.booleans(),
)
def test_nobody_can_tell_whose_sessions_they_are(
    postgresql_dsn: str, commands: list[StoreSessions], is_group: bool
) -> None:
    tell_both(postgresql_dsn, numbered(commands), [*about_sessions()], is_group=is_group)


# -- checkpoints ----------------------------------------------------------------------------------

THREADS = ["a", "é\1", "f", "g"]
threads = st.sampled_from(["a", "a", *THREADS])


def part(n: int) -> Part:
    data = bytes([n]) * 10**n
    return Part(parts.name_of(data), len(data), 0, data)


PARTS = [part(n) for n in range(4)]
some_parts = st.lists(st.sampled_from(PARTS), max_size=3)


def store(agent: str, cut: Sequence[Part], sent: Sequence[Part], tail: str) -> StoreCheckpoint:
    """Of the parts that it names some may not be there, and do not come along."""
    pieces = [Piece(["x", tail], [part.name for part in cut], tail)] if cut else []
    state = "null" if cut else '{"n": 1}'
    return StoreCheckpoint(None, agent, 0, state, pieces, [*sent, *cut[:1]])


changes = st.one_of(
    st.builds(store, threads, some_parts, some_parts, st.sampled_from(["", "é\0"])),
    st.builds(store, threads, some_parts, st.just(PARTS), st.just("tail")),
    st.builds(StoreParts, st.none(), some_parts),
    st.builds(ForkCheckpoint, st.none(), threads, st.integers(1, 4), st.sampled_from(["f", "g"])),
    st.builds(PinCheckpoint, st.none(), threads, st.integers(1, 4), st.sampled_from("xyé\0")),
    st.builds(UnpinCheckpoint, st.none(), threads, st.sampled_from("xyé")),
    st.builds(ClaimThread, st.none(), threads, st.booleans()),
    st.builds(
        PruneCheckpoints,
        st.none(),
        threads,
        st.sampled_from([1, 1, 2, 0]),
        st.sampled_from([-1, -1, 0, 5_000_000]),
        st.booleans(),
        st.integers(0, 2),
        st.integers(1, 3),
        st.booleans(),
    ),
    st.sampled_from([2.0, 3_601.0]),  # seconds that go by
)


def about_checkpoints() -> Iterator[Asked]:
    names = [part.name for part in PARTS]
    yield "checkpoint_threads", 100
    yield "checkpoint_threads", 1, "A"
    yield "missing_checkpoint_parts", [*names, names[0]]
    for most in (0, 11, 10**6):
        yield "checkpoint_parts", names[::-1], most
    for agent in (*THREADS, ""):
        yield "checkpoints", agent, 100
        yield "checkpoint_infos", agent, 2, 3
        yield "checkpoint_owner", agent
        for id in (0, 1, 3):
            yield "checkpoint", agent, id
            yield "checkpoint_history", agent, id, 3
        for pin in "xyé\0":
            yield "checkpoint", agent, 0, pin


@settings(
    max_examples=FEW,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(changes, min_size=25, max_size=40), is_group=st.booleans())
def test_nobody_can_tell_whose_checkpoints_they_are(
    postgresql_dsn: str, steps: list[Once | float], is_group: bool
) -> None:
    tell_both(postgresql_dsn, numbered(steps), [*about_checkpoints()], is_group=is_group)


# -- both -----------------------------------------------------------------------------------------


def numbered(steps: Sequence[Once | float]) -> list[Command | float]:
    """Every second command is its sender's, whose turns change, and is sent twice."""
    made: list[Command | float] = []
    counts = dict.fromkeys(("one", "two", "a.hub"), 0)
    for n, step in enumerate(steps):
        if isinstance(step, float) or n % 2:
            made.append(step)
            continue
        sender = [*counts][n // 2 % 3]
        counts[sender] += 1
        command = replace(step, origin=Origin(sender, "1.1", "writer", counts[sender]))
        made += [command, command]
    return made


def tell_both(
    dsn: str,
    steps: Sequence[Command | float],
    asked: Sequence[Asked],
    *,
    is_group: bool,
) -> None:
    """Each command by itself, or all in groups; then all that may be asked."""
    clock = ManualClock()
    with both_sides(dsn, clock) as (one, other):
        for group in groups(steps, is_group=is_group):
            if isinstance(group, float):
                clock.step_wall_clock(group)
                continue
            mine, theirs = (side.database.apply(group) for side in (one, other))
            assert [*map(in_no_words, mine)] == [*map(in_no_words, theirs)]
        for question in asked:
            found, again = (answer(side.reader, question) for side in (one, other))
            assert in_promised_order(question, found) == in_promised_order(question, again), (
                question
            )


def in_promised_order(question: Asked, found: object) -> object:
    """Sessions that were touched at the same moment are in no order."""
    if question[0] == "sessions" and isinstance(found, list):
        return sorted(found, key=lambda session: (-session.touched_us, session.id))
    return found


def groups(steps: Sequence[Command | float], *, is_group: bool) -> Iterator[list[Command] | float]:
    group: list[Command] = []
    for step in steps:
        if isinstance(step, float):
            if group:
                yield group
            group = []
            yield step
        elif is_group:
            group.append(step)
        else:
            yield [step]
    if group:
        yield group


def in_no_words(outcome: object) -> object:
    """What a value is refused with is each database's own words."""
    found = told(outcome)
    is_theirs = type(found) is tuple and found[1].startswith("StoreSessions: ")
    return found[0] if is_theirs else found
