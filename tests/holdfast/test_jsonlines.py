"""Scenarios D14 and D17: whatever a file holds, each line is an event or a reason."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.jsonlines import MAX_LINE, Record, records

TRACES = Path(__file__).resolve().parents[2] / "examples" / "agent_traces.jsonl"
GOOD = b'{"type":"good"}\n'


def parsed(content: bytes, *, max_line: int = MAX_LINE) -> list[tuple[int, Record | str]]:
    return list(records(io.BytesIO(content), max_line=max_line))


def reason(line: bytes) -> str:
    """Why the line is refused; the line after it must come through."""
    first, second = parsed(line + b"\n" + GOOD)
    assert second == (2, Record(type="good"))
    assert first[0] == 1
    assert isinstance(first[1], str)
    return first[1]


def test_a_line_becomes_an_event() -> None:
    line = {
        "id": "s.2",
        "type": "tool:call",
        "source": "/agent/a",
        "subject": "x",
        "session": "s",
        "correlation": "c",
        "parent": "s.1",
        "time_us": 5,
        "data": {"command": "ls", "n": [1, 2.5, None, True]},
    }
    assert parsed(json.dumps(line).encode()) == [
        (
            1,
            Record(
                type="tool:call",
                source="/agent/a",
                subject="x",
                session="s",
                correlation="c",
                cause="s.1",
                key="s.2",
                time_us=5,
                data=line["data"],
            ),
        )
    ]


def test_every_recorded_trace_is_an_event() -> None:
    with TRACES.open("rb") as stream:
        found = list(records(stream))
    assert [number for number, _ in found] == list(range(1, 608))
    assert all(isinstance(record, Record) for _, record in found)


def test_an_exported_line_can_be_imported() -> None:
    columns = "seq daemon time_us type source subject session correlation cause root depth key data"
    line: dict[str, object] = dict.fromkeys(columns.split())
    line |= {"seq": 9, "daemon": "d", "time_us": 7, "type": "t", "source": "s", "depth": 1}
    line |= {"cause": "a", "key": "b", "data": {"bytes": {"$bytes": "AAE="}}}
    wanted = Record(
        type="t", source="s", time_us=7, cause="a", depth=1, key="b", data={"bytes": b"\x00\x01"}
    )
    assert parsed(json.dumps(line).encode()) == [(1, wanted)]


@pytest.mark.parametrize(
    ("value", "microseconds"),
    [
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-01-01T00:00:01.000001Z", 1_000_001),
        ("1970-01-01T01:00:00+01:00", 0),
        (1.5, 1_500_000),
        (1767225600, 1_767_225_600_000_000),
    ],
)
def test_times_are_iso_or_seconds(value: object, microseconds: int) -> None:
    line = json.dumps({"type": "t", "time": value}).encode()
    assert parsed(line) == [(1, Record(type="t", time_us=microseconds))]


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\r\n  \t\n", b"\xef\xbb\xbf"])
def test_a_file_without_lines_holds_no_events(content: bytes) -> None:
    assert parsed(content) == []


@pytest.mark.parametrize(
    "content",
    [
        b'{"type":"a"}\n{"type":"b"}\n',
        b'{"type":"a"}\n{"type":"b"}',
        b'{"type":"a"}\r\n{"type":"b"}\r\n',
        b'\xef\xbb\xbf{"type":"a"}\n{"type":"b"}\n',
    ],
    ids=["plain", "no newline at the end", "CRLF", "byte order mark"],
)
def test_line_ends_and_marks_of_other_systems_are_tolerated(content: bytes) -> None:
    assert parsed(content) == [(1, Record(type="a")), (2, Record(type="b"))]


def test_blank_lines_count_but_hold_nothing() -> None:
    assert parsed(b'\n\n{"type":"a"}\n \n') == [(3, Record(type="a"))]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b'{"type":"a"', "not JSON"),
        (b'{"type":"a"} x', "not JSON: Extra data, column 14"),
        (b"[1]", "expected a JSON object, not a list"),
        (b'"text"', "expected a JSON object"),
        (b"7", "expected a JSON object, not a number"),
        (b"null", "expected a JSON object, not null"),
        (b"{}", "type: expected a text that is not empty, not null or nothing"),
        (b'{"type":null}', "type: "),
        (b'{"type":""}', "type: "),
        (b'{"type":["a"]}', "type: expected a text that is not empty, not a list"),
        (b'{"type":"a","id":7}', "id: expected a text, not a number"),
        (b'{"type":"a","source":{}}', "source: expected a text, not an object"),
        (b'{"type":"a","session":true}', "session: expected a text, not a truth value"),
        (b'{"type":"a","parent":[1]}', "parent: "),
        (b'{"type":"a","correlation":1}', "correlation: "),
        (b'{"type":"a","subject":1}', "subject: "),
        (b'{"type":"a","id":"1","key":"2"}', "id and key are two names of one field"),
        (b'{"type":"a","time":"yesterday"}', "time: expected ISO 8601"),
        (b'{"type":"a","time":true}', "time: "),
        (b'{"type":"a","time":1e300}', "time: out of range"),
        (b'{"type":"a","time_us":1.5}', "time_us: expected whole microseconds"),
        (b'{"type":"a","time_us":99999999999999999999}', "time_us: out of range"),
        (b'{"type":"a","time":1,"time_us":1}', "time and time_us"),
        (b'{"type":"a","dta":1}', "unknown field 'dta': accepted are "),
        (b'{"type":"a","data":NaN}', "NaN"),
        (b'{"type":"a","data":-Infinity}', "-Infinity"),
        (b'{"type":"a","data":1e999}', "1e999"),
        (b'{"type":"\xff"}', "not UTF-8 at byte 9"),
        (b'{"type":"a","data":"\\ud800"}', "surrogate"),
        (b'{"type":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b'{"type":"a","data":' + b"1" * 5000 + b"}", "digits"),
        (b"\x00\x01\x02", "not JSON"),
    ],
)
def test_a_line_that_is_no_event_is_refused_by_name(line: bytes, part: str) -> None:
    assert part in reason(line)


@pytest.mark.parametrize("cut", range(1, len('{"type":"é"}'.encode())))
def test_a_torn_last_line_is_reported_wherever_it_was_cut(cut: int) -> None:
    first, last = parsed(GOOD + '{"type":"é"}'.encode()[:cut])
    assert first == (1, Record(type="good"))
    assert last[0] == 2
    assert "the file ends inside this line" in str(last[1])


def test_a_line_of_20_megabytes_is_refused_without_holding_it(tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    file.write_bytes(b"x" * 20_000_000 + b"\n" + GOOD)
    tracemalloc.start()
    try:
        with file.open("rb") as stream:
            found = list(records(stream))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [(1, f"longer than {MAX_LINE} bytes"), (2, Record(type="good"))]
    assert peak < 3 * MAX_LINE


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_bound_counts_the_line_and_not_its_end(end: bytes) -> None:
    line = b'{"type":"a"}'
    assert parsed(line + end, max_line=len(line)) == [(1, Record(type="a"))]
    assert parsed(line + end, max_line=len(line) - 1) == [(1, "longer than 11 bytes")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
NAMES = ["type", "id", "key", "parent", "source", "session", "time", "time_us", "data", "other"]
lines = st.one_of(
    st.binary(),
    st.dictionaries(st.sampled_from(NAMES), json_values).map(lambda v: json.dumps(v).encode()),
    st.fixed_dictionaries({"type": st.text(min_size=1), "data": json_values}).map(
        lambda v: json.dumps(v, ensure_ascii=False).encode(errors="surrogatepass")
    ),
)


def check_any_file(parts: list[bytes], max_line: int) -> None:
    """Nothing raises, and a good line after whatever came before it is read."""
    found = parsed(b"\n".join([*parts, GOOD]), max_line=max_line)
    assert found[-1][1] == Record(type="good")
    assert all(isinstance(outcome, Record) or outcome for _, outcome in found)
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers))


files = given(parts=st.lists(lines, max_size=5), max_line=st.integers(len(GOOD), 100))


@files
@settings(deadline=None)
def test_whatever_a_file_holds_the_next_line_is_read(parts: list[bytes], max_line: int) -> None:
    check_any_file(parts, max_line)


@pytest.mark.slow  # takes two minutes
@files
@settings(deadline=None, max_examples=10_000)
def test_ten_thousand_files_lose_no_next_line(parts: list[bytes], max_line: int) -> None:
    check_any_file(parts, max_line)


@pytest.mark.parametrize("seed", range(20))
def test_damage_never_costs_another_line(seed: int) -> None:
    """Bytes of some lines are changed at random; every other line comes through unchanged."""
    chance = random.Random(seed)
    lines = TRACES.read_bytes().splitlines(keepends=True)[:100]
    intact = dict(parsed(b"".join(lines)))
    damaged = set(chance.sample(range(len(lines)), 20))
    for index in damaged:
        line = bytearray(lines[index])
        for _ in range(chance.randint(1, 8)):
            # Any byte but the one that ends a line: that would renumber the rest.
            line[chance.randrange(len(line) - 1)] = chance.choice([*range(10), *range(11, 256)])
        lines[index] = bytes(line)
    found = dict(parsed(b"".join(lines)))
    for number, record in intact.items():
        if number - 1 not in damaged:
            assert found[number] == record
