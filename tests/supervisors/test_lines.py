"""What becomes of the bytes that a process writes."""

from __future__ import annotations

from datetime import datetime

import pytest

from holdfast.supervisors.lines import LINE_BYTES, SIGNED, Lines, Others, line_head

TIME = datetime.fromisoformat("2026-05-01T12:00:00.123456+02:00")
HEAD = b"2026-05-01 12:00:00.123456+02:00 STDOUT  ape[7] "


def lines(*, actor: str = "ape", is_supervisor: bool = False) -> Lines:
    return Lines("STDOUT", actor=actor, pid=7, is_supervisor=is_supervisor)


def test_each_line_gets_the_name_however_the_bytes_come_in() -> None:
    text = b"one\n\ntwo\r\nthree"
    for size in range(1, len(text) + 1):
        stream = lines()
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        said = b"".join(stream.feed(part, TIME) for part in parts) + stream.finish(TIME)
        assert said == b"".join(HEAD + line + b"\n" for line in (b"one", b"", b"two", b"three"))
        assert stream.finish(TIME) == b""


@pytest.mark.parametrize("level", ["INFO", "WARNING", "CRITICAL", "Level 25"])
def test_a_line_of_the_processes_own_log_passes_as_it_is(level: str) -> None:
    line = f"{line_head(TIME, level, 'ape', 7)}hello\n".encode()
    assert lines().feed(line + b"print\n" + line, TIME) == line + HEAD + b"print\n" + line


def test_nobody_speaks_in_the_name_of_another() -> None:
    line = f"{line_head(TIME, 'INFO', 'writer', 7)}all is lost\n".encode()
    assert lines().feed(line, TIME) == HEAD + line
    # A supervisor hands on what those below it have said.
    assert lines(is_supervisor=True).feed(line, TIME) == line


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    said = lines().feed("ä".encode() + b"\xff\xfe \xc3\nb\n", TIME)
    assert said == HEAD + "ä".encode() + b"\\xff\\xfe \\xc3\n" + HEAD + b"b\n"
    # A character whose bytes come apart is one all the same.
    stream = lines()
    assert stream.feed(b"\xc3", TIME) + stream.feed(b"\xa4\n", TIME) == HEAD + "ä\n".encode()


@pytest.mark.parametrize("character", ["x", "ä", "𝄞"])
def test_a_long_line_is_cut_into_marked_pieces(character: str) -> None:
    text = character * 30_000
    stream = lines()
    data = text.encode()
    said = stream.feed(data[:20_000], TIME) + stream.feed(data[20_000:], TIME)
    said += stream.feed(b"\nshort\n", TIME)
    *parts, last = said.decode().splitlines()
    assert last == HEAD.decode() + "short"
    assert len(parts) > 1
    texts = [part.removeprefix(HEAD.decode()) for part in parts]
    assert all(len(part.encode()) <= LINE_BYTES + 400 for part in parts)
    assert all(text.endswith(" [...]") for text in texts[:-1])
    assert all(text.startswith("[...] ") for text in texts[1:])
    assert "".join(text.removeprefix("[...] ").removesuffix(" [...]") for text in texts) == text


def test_the_beginning_of_an_endless_line_takes_bounded_memory() -> None:
    stream = lines()
    said = b"".join(stream.feed(b"\x80" * 65_536, TIME) for _ in range(20))
    assert len(stream.finish(TIME)) < 4 * (LINE_BYTES + 400)
    assert said.count(b"\n") > 100


def test_the_lines_of_a_supervisor_are_told_from_those_below_it() -> None:
    own = f"{line_head(TIME, 'INFO', 'state', 7)}writer[8] is ready\n".encode()
    raw = HEAD.replace(b"ape", b"state") + b"a traceback\n"
    others = [f"{line_head(TIME, 'INFO', name, 8)}x\n".encode() for name in ("writer", "state2")]
    assert Others("state").left_out(others[0] + own + others[1] + raw + others[0]) == own + raw


def test_a_signed_line_can_be_read_back() -> None:
    head = line_head(TIME, "Level 25", "my-agent_2", 123)
    signed = SIGNED.fullmatch(f"{head}hello [1] {{}}".encode())
    assert signed is not None
    assert signed.groups() == (
        b"2026-05-01 12:00:00.123456+02:00",
        b"Level 25",
        b"my-agent_2",
        b"123",
        b"hello [1] {}",
    )
