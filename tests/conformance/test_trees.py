"""Causes and effects: the same of every backend."""

from __future__ import annotations

from holdfast.storage.ports import Database, Reader
from holdfast.storage.records import StoredEvent
from tests.conformance.conftest import Backend
from tests.storage.making import append, event


def seqs(events: list[StoredEvent]) -> list[int]:
    return [event.seq for event in events]


def test_a_chain_leads_from_an_event_to_its_first_cause(
    backend: Backend, database: Database, reader: Reader
) -> None:
    fourth = f"{backend.daemon}/4"
    append(
        database,
        [
            event(1, key="a"),
            event(2, key="other"),
            event(3, key="b", cause="a", root="a", depth=1),
            event(4, cause="b", root="a", depth=2),
            event(5, cause=fourth, root="a", depth=3),
        ],
    )
    assert seqs(reader.causes(5, 10)) == [5, 4, 3, 1]
    assert seqs(reader.causes(5, 2)) == [5, 4]
    assert seqs(reader.causes("b", 10)) == seqs(reader.causes(3, 10)) == [3, 1]
    assert seqs(reader.causes(fourth, 10)) == [4, 3, 1]
    for nowhere in (99, "c", f"{backend.daemon}/99", "other daemon/4", "d/x"):
        assert reader.causes(nowhere, 10) == []


def test_a_chain_ends_where_its_cause_is_missing_or_in_it_already(
    database: Database, reader: Reader
) -> None:
    append(
        database,
        [
            event(1, key="lost cause", cause="never emitted"),
            event(2, key="hen", cause="egg"),
            event(3, key="egg", cause="hen"),
            event(4, key="itself", cause="itself"),
        ],
    )
    assert seqs(reader.causes(1, 10)) == [1]
    assert seqs(reader.causes(2, 10)) == [2, 3]
    assert seqs(reader.causes(4, 10)) == [4]


def test_the_cause_is_the_event_of_that_key_that_stands_nearest(
    database: Database, reader: Reader
) -> None:
    """Keys are unique per source: "1" is the key of four events here."""
    append(
        database,
        [
            event(1, source="of the root", key="1", root="r"),
            event(2, source="of the correlation", key="1", correlation="c"),
            event(3, source="of the source", key="1"),
            event(4, source="x", cause="1", root="r"),
            event(5, source="x", cause="1", correlation="c"),
            event(6, source="of the source", cause="1"),
            event(7, source="last", key="1"),
            event(8, source="x", cause="1"),
        ],
    )
    assert [seqs(reader.causes(seq, 9))[1] for seq in (4, 5, 6, 8)] == [1, 2, 3, 7]
    assert seqs(reader.causes("1", 9)) == [7]


def test_what_is_around_a_name_is_its_key_its_root_and_its_correlation(
    database: Database, reader: Reader
) -> None:
    append(
        database,
        [
            event(1, key="n"),
            event(2, root="n"),
            event(3, correlation="n"),
            event(4, key="n2", root="n", correlation="n"),
            event(5, session="n", subject="n"),
            event(6, root="other"),
        ],
    )
    assert seqs(reader.around("n", 0, 10)) == [1, 2, 3, 4]
    assert seqs(reader.around("n", 1, 2)) == [2, 3]
    assert seqs(reader.below(["n", "other"], 0, 10)) == [2, 4, 6]
    assert seqs(reader.below(["n", "other"], 2, 1)) == [4]
    assert reader.below([], 0, 10) == []
