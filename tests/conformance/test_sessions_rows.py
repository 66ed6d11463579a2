"""Sessions and their items as rows: the same of every backend."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from holdfast.errors import InvalidInputError
from holdfast.storage.ports import Database, Reader
from holdfast.storage.session_records import (
    Session,
    SessionItem,
    SessionsStored,
    SessionTotals,
    SessionUse,
    StoredItem,
    StoreSessions,
)
from tests.storage.making import apply_one, as_event, event, origin

MOST = 2**63 - 1
# In the order of their characters, which is not that of a dictionary.
IDS = ["", "A", "Z", "a", "a\0", "a\1", "ab", "b", "ä", "\ud7ff", "\ue000", "\uffff", "\U0001f600"][
    1:
]


def session(id: str = "s", *, n: int = 1, data: str = "{}", **more: object) -> Session:
    made = Session(id, data, f"1.1:{n}", 1, n, 10 * n, 3.5)
    return replace(made, **more)


def use(id: str, *, created_us: int = 1, items: int = 0, item_bytes: int = 0) -> SessionUse:
    return SessionUse(77, 88, "me", '{"me": 99}', items, item_bytes, id, created_us)


def put(database: Database, *sessions: Session) -> None:
    apply_one(database, StoreSessions(None, [*sessions], [], []))


def ids(sessions: list[Session]) -> list[str]:
    return [session.id for session in sessions]


def test_a_session_comes_back_as_it_was_put(database: Database, reader: Reader) -> None:
    plain = session("plain")
    full = Session(
        "full \0\1\2 ä",
        '{"big": 1e20, "a": [1.0, 18446744073709551616], "nul": "\\u0000", "half": "\\ud800"}',
        "9.9:\U0001f600",
        -5,
        MOST,
        -MOST,
        0.1,
        1e-300,
        "",
        '{"x": 1}',
        MOST,
        0,
    )
    large = session("large", data=f'"{"€" * 200_000}"')
    put(database, plain, full, large)
    for each in (plain, full, large):
        assert reader.session(each.id) == each
    assert reader.session("none") is None
    assert reader.session("PLAIN") is None


def test_a_put_changes_all_but_when_it_was_created(database: Database, reader: Reader) -> None:
    put(database, session())
    changed = session(n=2, data="[1]", ttl=9, max_age=4, owner="o", holders="[]", items=3)
    put(database, changed)
    assert reader.session("s") == changed


def test_a_put_of_another_session_of_the_id_takes_its_place_items_included(
    database: Database, reader: Reader
) -> None:
    put(database, session("s"), session("t"))
    items = [SessionItem(1, 5, None, "1", "s", 1), SessionItem(1, 5, None, "2", "t", 1)]
    apply_one(database, StoreSessions(None, [], [], [], items=items))
    put(database, session("s", created_us=2), session("t", n=2))
    assert reader.session_items("s", 0, 10) == []
    assert reader.session_items("t", 0, 10) == [StoredItem(1, 5, None, "2")]


def test_of_one_id_put_twice_the_last_one_stays(database: Database, reader: Reader) -> None:
    put(database, session("s", n=1), session("t"), session("s", n=2), session("s", n=3))
    assert reader.session("s") == session("s", n=3)
    assert reader.session_totals().count == 2


def test_a_command_deletes_puts_uses_and_adds_in_this_order(
    database: Database, reader: Reader
) -> None:
    put(database, session("old", n=7), session("gone"))
    command = StoreSessions(
        origin(1),
        [session("new"), session("old", n=2)],
        ["old", "gone", "never there"],
        [as_event(event(1)), as_event(event(2))],
        "answer",
        [use("old", items=1), use("old", items=2, item_bytes=5), use("gone")],
        [SessionItem(1, 6, "k", "1", "old", 1), SessionItem(1, 6, None, "1", "gone", 1)],
    )
    stored = SessionsStored(1, 2, "answer")
    assert apply_one(database, command) == stored
    assert apply_one(database, command) == stored  # a repeat
    used = Session("old", "{}", "1.1:2", 1, 77, 88, 3.5, None, "me", '{"me": 99}', 2, 5)
    assert [reader.session(id) for id in ("old", "new", "gone")] == [used, session("new"), None]
    assert reader.session_items("old", 0, 10) == [StoredItem(1, 6, "k", "1")]
    assert reader.last_seq() == 2


def test_uses_and_items_of_a_session_that_has_ended_are_left_out(
    database: Database, reader: Reader
) -> None:
    put(database, session(created_us=2))
    items = [SessionItem(1, 5, None, "1", "s", 1), SessionItem(1, 5, None, "1", "none", 2)]
    apply_one(database, StoreSessions(None, [], [], [], use=[use("s")], items=items))
    assert reader.session("s") == session(created_us=2)
    assert reader.session_items("s", 0, 10) == []


def test_an_item_is_kept_once_and_the_first_one_stays(database: Database, reader: Reader) -> None:
    put(database, session("s"), session("t"))
    for items in (
        [(1, None, '"a"', "s"), (3, "k", '"b"', "s"), (3, "k", '"c"', "s")],
        [(1, None, '"d"', "s"), (4, "k", '"e"', "s"), (4, "K", '"f"', "s"), (3, "k", "7", "t")],
    ):
        made = [SessionItem(number, number, key, data, of, 1) for number, key, data, of in items]
        apply_one(database, StoreSessions(None, [], [], [], items=made))
    kept = [
        StoredItem(1, 1, None, '"a"'),
        StoredItem(3, 3, "k", '"b"'),
        StoredItem(4, 4, "K", '"f"'),
    ]
    assert reader.session_items("s", 0, 10) == kept
    assert reader.session_items("s", 1, 1) == kept[1:2]
    assert reader.session_items("s", 1, 2, reverse=True) == kept[:0:-1]
    assert reader.session_item("s", 1, "k") == kept[1]
    assert reader.session_item("s", 2, "k") is None
    assert reader.session_item("s", 1, "none") is None
    assert reader.session_items("t", 0, 10) == [StoredItem(3, 3, "k", "7")]


def test_sessions_are_listed_in_the_order_of_their_characters(
    database: Database, reader: Reader
) -> None:
    shown = [replace(session(id, owner="o" if len(id) == 1 else None), data="") for id in IDS]
    put(database, *(replace(each, data="{}") for each in reversed(shown)))
    assert reader.list_sessions(0, "", "", None, 100) == shown
    assert ids(reader.list_sessions(0, "a", "", None, 3)) == ["a\0", "a\1", "ab"]
    assert ids(reader.list_sessions(0, "", "a", None, 100)) == ["a", "a\0", "a\1", "ab"]
    assert ids(reader.list_sessions(0, "a", "a", None, 100)) == ["a\0", "a\1", "ab"]
    assert ids(reader.list_sessions(0, "", "\ud7ff", None, 100)) == ["\ud7ff"]
    assert ids(reader.list_sessions(0, "", "\U0001f600", None, 100)) == ["\U0001f600"]
    assert ids(reader.list_sessions(0, "", "\U0010ffff", None, 100)) == []
    assert ids(reader.list_sessions(0, "Z", "", "o", 3)) == ["a", "b", "ä"]
    assert reader.list_sessions(10, "", "", None, 100) == []  # none of them lives any more


def test_sessions_are_found_by_when_they_end_and_were_touched(
    database: Database, reader: Reader
) -> None:
    put(database, *(session(f"s{n}", n=n, data=f"[{n}]") for n in (3, 1, 4, 2)))
    put(database, session("t", n=4, data="[5]"))
    assert ids(reader.expired_sessions(40, 10)) == ["s1", "s2", "s3", "s4", "t"]
    assert reader.expired_sessions(20, 10) == [
        session("s1", n=1, data=""),
        session("s2", n=2, data=""),
    ]
    assert ids(reader.expired_sessions(40, 1)) == ["s1"]
    assert ids(reader.idle_sessions(10)) == ["s1", "s2", "s3", "s4", "t"]
    assert reader.idle_sessions(1) == [session("s1", n=1, data="[1]")]
    assert sorted(ids(reader.sessions(2))) == ["s4", "t"]
    assert ids(reader.sessions(10))[2:] == ["s3", "s2", "s1"]
    with pytest.raises(InvalidInputError, match="limit: -1"):
        reader.sessions(-1)


def test_the_totals_are_those_of_counting(database: Database, reader: Reader) -> None:
    assert reader.session_totals() == SessionTotals(0, 0)
    put(database, session("s", data='"€"'), session("t", data="1", item_bytes=100))
    assert reader.session_totals() == SessionTotals(2, 106)
    put(database, session("s", data="22"), session("u", data="333"))
    assert reader.session_totals() == SessionTotals(3, 106)
    apply_one(database, StoreSessions(None, [], [], [], use=[use("t", item_bytes=7)]))
    assert reader.session_totals() == SessionTotals(3, 13)
    apply_one(database, StoreSessions(None, [session("s", created_us=9)], ["t", "none"], []))
    assert reader.session_totals() == SessionTotals(2, 5)
    apply_one(database, StoreSessions(None, [], ["s", "u"], []))
    assert reader.session_totals() == SessionTotals(0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        StoreSessions(None, [session("new"), session("bad", data="{")], ["s"], []),
        StoreSessions(None, [session("new"), session("")], ["s"], []),
        StoreSessions(None, [session("new")], ["s"], [as_event(event(data="no JSON"))]),
        StoreSessions(None, [session("new"), session("bad", expires_us=2**63)], ["s"], []),
        StoreSessions(None, [session("new"), session("\ud800")], ["s"], []),
        StoreSessions(None, [], ["t"], [], items=[SessionItem(0, 1, None, "1", "s", 1)]),
        StoreSessions(None, [], ["t"], [], items=[SessionItem(1, 1, None, "", "s", 1)]),
    ],
)
def test_what_cannot_be_stored_refuses_the_whole_command(
    database: Database, reader: Reader, bad: StoreSessions
) -> None:
    put(database, session("s"), session("t"))
    with pytest.raises(InvalidInputError):
        apply_one(database, bad)
    assert ids(reader.list_sessions(0, "", "", None, 10)) == ["s", "t"]
    assert reader.session_items("s", 0, 10) == []
    assert (reader.session_totals(), reader.last_seq()) == (SessionTotals(2, 4), 0)
