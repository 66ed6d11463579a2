"""CloudEvents: ours come back as they were, those of others are taken sensibly."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Event, InvalidInputError
from holdfast.cloudevents import from_cloudevent, to_cloudevent
from holdfast.storage import jsontext

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
sources = names | st.from_regex(r"[a-z]{1,4}(:|://|/)[a-z%/?#:\[\]]{0,8}", fullmatch=True)
optional = st.none() | names
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "$bytes", "$$bytes", "ä"]), inner, max_size=3)
    ),
    max_leaves=8,
)
events = st.builds(
    Event,
    seq=st.integers(1, 2**63 - 1),
    daemon=st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True),
    time_us=st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(0, 2**51),
    type=names,
    source=sources,
    subject=optional,
    session=optional,
    correlation=optional,
    cause=optional,
    root=optional,
    depth=st.integers(0, 2**63 - 1),
    key=optional,
    data=values,
    epoch=st.just(0),
)
ATTRIBUTE = re.compile(r"[a-z0-9]+|data_base64")
URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)?[!#-;=?@A-Z\[\]_a-z~]*")


def same(one: object, other: object) -> bool:
    """Equal, types and signs of zero too."""
    return jsontext.encode(one) == jsontext.encode(other)


@given(events)
def test_an_event_of_ours_comes_back_as_it_was(event: Event) -> None:
    text = json.dumps(to_cloudevent(event))
    told = from_cloudevent(json.loads(text))
    assert told.event == event
    assert same(told.event.data, event.data)
    assert (told.has_time, told.ignored) == (True, ())


@given(events)
def test_what_we_write_is_what_the_standard_asks_for(event: Event) -> None:
    made = to_cloudevent(event)
    assert made["specversion"] == "1.0"
    assert all(isinstance(made[name], str) and made[name] for name in ("id", "source", "type"))
    assert URI.fullmatch(made["source"])
    assert not re.search(r"%(?![0-9A-Fa-f]{2})", made["source"])
    for name, value in made.items():
        assert ATTRIBUTE.fullmatch(name)
        if name != "data":
            assert isinstance(value, str) or -(2**31) <= value < 2**31
    if "time" in made:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", made["time"])
    assert not {"data", "data_base64"} <= set(made)


def test_an_event_as_people_see_it() -> None:
    places = ("ls", "s1", "c1", "k0", "k0", 1, "k1")
    event = Event(7, "d", 1_700_000_000_000_001, "tool:call", "planner 1", *places, {"n": 1})
    assert to_cloudevent(event) == {
        "specversion": "1.0",
        "id": "k1",
        "source": "planner%201",
        "type": "tool:call",
        "subject": "ls",
        "time": "2023-11-14T22:13:20.000001Z",
        "daemon": "d",
        "seq": "7",
        "session": "s1",
        "correlation": "c1",
        "cause": "k0",
        "root": "k0",
        "depth": 1,
        "key": "k1",
        "sourcetext": "planner 1",
        "datacontenttype": "application/json",
        "data": {"n": 1},
    }


MINIMAL = {"specversion": "1.0", "id": "A234", "source": "/my", "type": "com.example.some"}


def test_an_event_of_another_producer_is_taken() -> None:
    told = from_cloudevent(
        MINIMAL
        | {
            "subject": None,
            "time": "2018-04-05T17:31:00.123456789+01:00",
            "dataschema": "https://example.com/schema",
            "traceparent": "00-1-2-03",
            "correlationid": "c",
            "causationid": "A233",
            "session": 5,
            "seq": "7",
            "datacontenttype": "text/xml",
            "data": '<much wow="xml"/>',
        }
    )
    event = told.event
    assert (event.type, event.source, event.key) == ("com.example.some", "/my", "A234")
    assert (event.seq, event.daemon, event.subject, event.session) == (0, "", None, None)
    assert (event.correlation, event.cause) == ("c", "A233")
    assert event.time_us == 1_522_945_860_123_456
    assert event.data == '<much wow="xml"/>'
    assert told.ignored == ("dataschema", "seq", "session", "traceparent")


def test_the_least_that_is_a_cloudevent_is_enough() -> None:
    told = from_cloudevent(MINIMAL)
    assert not told.has_time
    arguments = told.arguments()
    assert arguments["time_us"] is None
    assert arguments["key"] == "A234"
    assert told.event.data is None


def test_bytes_and_marks_in_the_data_of_others_are_what_they_are() -> None:
    assert from_cloudevent(MINIMAL | {"data_base64": "AAE="}).event.data == b"\x00\x01"
    literally = {"$bytes": "no base64"}
    told = from_cloudevent(MINIMAL | {"data": literally})
    assert told.event.data == literally


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"specversion": "0.3"}, "specversion: '0.3'; expected '1.0'"),
        ({"specversion": None}, "specversion: nothing"),
        ({"id": ""}, "id: expected a text"),
        ({"id": 7}, "id: expected a text"),
        ({"source": None}, "source: expected"),
        ({"type": ["a"]}, "type: expected"),
        ({"subject": ""}, "subject: expected"),
        ({"time": "yesterday"}, "time: expected RFC 3339"),
        ({"time": "2018-04-05 17:31:00Z"}, "time: expected RFC 3339"),
        ({"time": "2018-04-05T17:31:00"}, "time: expected RFC 3339"),
        ({"time": "2018-02-30T17:31:00Z"}, "time: expected RFC 3339"),
        ({"time": 5}, "time: expected RFC 3339"),
        ({"Trace": "x"}, "'Trace': names of attributes"),
        ({"trace_parent": "x"}, "names of attributes"),
        ({"trace": {"a": 1}}, "trace: expected a text, a whole number"),
        ({"trace": 1.5}, "trace: expected a text, a whole number"),
        ({"data": 1, "data_base64": "AA=="}, "one of them"),
        ({"data_base64": "?"}, "data_base64: not base64"),
        ({"data_base64": 5}, "data_base64: not base64"),
        ({"daemon": "d", "seq": "x"}, "seq: expected a whole number"),
        ({"daemon": "d", "seq": -1}, "seq: expected a whole number"),
        ({"daemon": "d", "depth": 2**63}, "depth: expected a whole number"),
        ({"daemon": "d", "session": True}, "session: expected a text"),
        ({"daemon": "d", "data": {"$bytes": "?"}}, "base64"),
    ],
)
def test_what_is_no_cloudevent_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(named)):
        from_cloudevent(MINIMAL | changes)


@given(st.dictionaries(st.sampled_from([*MINIMAL, "time", "data", "daemon", "seq", "x"]), values))
def test_whatever_is_given_is_taken_or_refused(told: dict[str, Any]) -> None:
    with suppress(InvalidInputError):
        from_cloudevent(MINIMAL | told)
