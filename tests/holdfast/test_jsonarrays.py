"""JSON arrays piece by piece, against Python's own parser."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import jsonarrays
from holdfast.jsonarrays import elements

values = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(['"', "\\", '\\"', "[{,}]", "\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(text: str | bytes, *, max_bytes: int = 10**6) -> list[tuple[int, bytes | str]]:
    raw = text.encode() if isinstance(text, str) else text
    return list(elements(io.BytesIO(raw), max_bytes=max_bytes))


@pytest.mark.parametrize("chunk", [1, 2, 7, 65_536])
def test_every_element_comes_with_the_line_it_begins_in(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonarrays, "_CHUNK", chunk)

    @given(st.lists(values, max_size=4), st.sampled_from([None, 1]))
    def check(written: list[object], indent: int | None) -> None:
        text = json.dumps(written, indent=indent)
        found = read(text)
        assert [json.loads(element) for _, element in found] == written
        lines = text.split("\n")
        for line, element in found:
            assert isinstance(element, bytes)
            assert lines[line - 1].strip().startswith(("[", element.decode().split("\n")[0]))

    check()


@pytest.mark.parametrize("text", ["[]", " [ ] ", "\n[\n]\n", "\ufeff[]", "[\n\n]"])
def test_an_empty_array_has_none(text: str) -> None:
    assert read(text) == []


def test_what_is_wrong_in_an_element_costs_that_one_only() -> None:
    assert read('[1,\n nope,\n {"a": }\n, , 2]') == [
        (1, b"1"),
        (2, b"nope"),
        (3, b'{"a": }'),
        (4, b""),
        (4, b"2"),
    ]


def test_an_element_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonarrays, "_CHUNK", 16)
    long = '"' + "x" * 500 + '\\"]"'
    found = read(f"[1,\n{long},\n2]", max_bytes=100)
    assert found == [(1, b"1"), (2, "longer than 100 bytes"), (3, b"2")]


def test_a_torn_array_and_what_is_behind_one_are_told() -> None:
    assert read('[1,\n{"a": 1') == [(1, b"1"), (2, "the file ends inside the array")]
    assert read("[1") == [(1, "the file ends inside the array")]
    assert read('["a\\') == [(1, "the file ends inside the array")]
    assert read("[1]\n\n x") == [(1, b"1"), (3, "there is more behind the end of the array")]
    assert read("[1]\n\n") == [(1, b"1")]
