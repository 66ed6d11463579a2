"""Full-text search: the same events in the same order, and the same refusals, on every backend."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.storage.filters import EventFilter
from holdfast.storage.ports import Database, Reader
from holdfast.storage.records import AppendEvents, Event
from tests.clock import ManualClock
from tests.conformance.sides import Asked, answer, both_sides

ALL: Final = EventFilter()
LONG: Final = "z" * 125  # as long as a word is in PostgreSQL's index
# What folding, splitting and listing of words may go wrong with.
WORDS: Final = [
    "a", "b", "ab", "Ab", "A\u0308b", "\u00e4b", "caf\u00e9", "CAFE", "stra\u00dfe", "\u0130", "i",
    "\u65e5\u672c", "\u65e5\u672c\u8a9e", "\u0e01\u0e34", "\U0001f600", "\U00020000", "\ue000",
    "\u1e9e", "\u01c5", "\ufb01", "\uac00", "1", "1.5", "a_b", "a-b", "it's", "a:1", "'a'", "\\",
    "\0", "a\0b", "\1", "\u2028", "\u00a0", "AND", "NEAR", "a\x1ab", "a\u0301\u0308", "\ufffd",
    LONG, LONG + "y", LONG + "yy", "\u00e9" * 126, "\U00020000" * 130, "x" * 3_000,
]  # fmt: skip


def told(data: object, **fields: Any) -> Event:
    text = data if isinstance(data, str) else json.dumps(data)
    return Event(time_us=1, type="t", source="s", data=text, **fields)


def found(reader: Reader, text: str, filter: EventFilter = ALL, **options: Any) -> list[int]:
    return [event.seq for event in reader.search(text, filter, 100, **options)]


def work_off(database: Database, seconds: float = 0.001) -> int:
    slices = 0
    while database.has_chores:
        database.work_off(seconds)
        slices += 1
    return slices


few = st.sampled_from(["a", "b", "ab", "caf\u00e9"])
some_odd = st.deferred(lambda: st.sampled_from(WORDS))
words = st.one_of(
    few, few, few, st.sampled_from(WORDS), st.sampled_from(WORDS), st.text(max_size=4)
)
texts = st.lists(words, max_size=6).map(" ".join)
scalars = st.one_of(texts, texts, st.integers(), st.floats(allow_nan=False), st.booleans())
data = st.one_of(texts, st.lists(scalars, max_size=4), st.dictionaries(words, scalars, max_size=3))
encoded = st.builds(lambda each, plain: json.dumps(each, ensure_ascii=plain), data, st.booleans())
quoted = st.lists(words, max_size=2).map(lambda some: '"' + " ".join(some).replace('"', '""') + '"')
strings = st.deferred(lambda: st.one_of(few, few, few, few, quoted, quoted, st.sampled_from(WORDS)))
phrases = st.builds(
    lambda some, star: " + ".join(some) + star,
    st.lists(strings, min_size=1, max_size=2),
    st.sampled_from(["", "", "", "*"]),
)
nears = st.builds(
    lambda some, end: f"NEAR({' '.join(some)}{end})",
    st.lists(phrases, min_size=1, max_size=3),
    st.sampled_from(["", ", 1", ", 2"]),
)
leaves = st.deferred(
    lambda: st.one_of(phrases, phrases, phrases, phrases, nears, phrases.map("^ {}".format))
)
sides_by_side = st.lists(leaves, min_size=2, max_size=3).map(" ".join)
joining = st.sampled_from(["AND", "OR", "OR", "OR", "NOT", "NOT"])
columns = st.sampled_from(["text", "text", "-text", "{text}", "- {text}", '"text"', "no"])
asked = st.recursive(
    st.one_of(leaves, leaves, sides_by_side),
    lambda some: st.one_of(
        st.builds("{} {} {}".format, some, joining, some),
        st.builds("{} {} {}".format, some, joining, some),
        some.map("({})".format),
        st.builds("{}: ({})".format, columns, some),
        st.builds("{} : {}".format, columns, leaves),
        st.builds("{} {}".format, some, some),
    ),
    max_leaves=5,
)


@pytest.mark.slow  # 2,000 searches of each; a few examples of what they find are below
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    some=st.lists(encoded, min_size=1, max_size=12),
    texts=st.lists(asked, min_size=10),
    up=st.booleans(),
)
def test_nobody_can_tell_the_backends_apart_postgresql(
    postgresql_dsn: str, some: list[str], texts: list[str], up: bool
) -> None:
    with both_sides(postgresql_dsn, ManualClock(), full_text=True, payload_bytes=500) as sides:
        for side in sides:
            side.database.apply([AppendEvents(None, [told(text) for text in some])])
        for text in texts:
            question: Asked = ("search", text, ALL, 5, not up)
            ours, theirs = (answer(side.reader, question) for side in sides)
            assert ours == theirs, text
