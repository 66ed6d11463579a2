"""Lines out of a stream: wherever it is cut, the same lines come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.actors.json_lines import JsonLines, TooLong

LIMIT = 8

texts = st.lists(st.binary(max_size=2 * LIMIT).map(lambda text: text.replace(b"\n", b"x")))


def taken(lines: JsonLines) -> list[bytes | None]:
    """All that can be taken now; None stands for a line that is too long."""
    found: list[bytes | None] = []
    while (line := lines.next()) is not None:
        found.append(None if isinstance(line, TooLong) else line)
    return found


@given(texts, st.binary(max_size=LIMIT).map(lambda text: text.replace(b"\n", b"x")), st.data())
def test_a_stream_cut_anywhere_has_the_same_lines(
    sent: list[bytes], rest: bytes, data: st.DataObject
) -> None:
    stream = b"".join(line + b"\n" for line in sent) + rest
    lines = JsonLines(max_line=LIMIT)
    found: list[bytes | None] = []
    at = 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        lines.feed(stream[at : at + step])
        found += taken(lines)
        assert not lines.is_full
        at += step
    lines.end()
    found += taken(lines)
    whole = [line for line in [*sent, rest] if line.strip()]
    expected = [None if len(line) > LIMIT else line for line in whole]
    # Of a line that is too long it does not matter that its end is blank.
    blank = [None for line in [*sent, rest] if len(line) > LIMIT and not line.strip()]
    assert [one for one in found if one] == [one for one in expected if one]
    assert found.count(None) == expected.count(None) + len(blank)


def test_no_more_is_kept_than_a_line_and_one_read() -> None:
    lines = JsonLines(max_line=LIMIT)
    lines.feed(b"x" * 100)
    assert lines.is_full
    assert taken(lines) == [None]
    for _ in range(100):
        lines.feed(b"x" * 100)
        assert taken(lines) == []
        assert not lines.is_full
    lines.feed(b"x\n{}\n")
    assert taken(lines) == [b"{}"]
