"""Standard error that nobody reads, or that somebody reads late."""

from __future__ import annotations

import fcntl
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.supervisors.console import LIMIT, RESERVE, Console
from tests.supervisors.trees import TIMEOUT

LINE = b"x" * 99 + b"\n"
MANY = 2 * (LIMIT + RESERVE) // len(LINE)


def note(count: int) -> bytes:
    return b"%d lines are not shown here\n" % count


@pytest.fixture(params=["pipe", "terminal", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """What is read, and what is written to; each with little room."""
    match request.param:
        case "pipe":
            reading, writing = os.pipe()
        case "terminal":
            reading, writing = os.openpty()
        case _:
            reading, writing = (end.detach() for end in socket.socketpair())
    yield reading, writing
    for fd in (reading, writing):
        os.close(fd)


def read_all(console: Console, reading: int) -> bytes:
    """Everything, as a reader that has woken up gets it."""
    data = b""
    while True:
        if select.select([console], [], [], 0)[0]:
            console.flush()
        if not select.select([reading], [], [], 0.2)[0]:
            return data.replace(b"\r\n", b"\n")  # a terminal makes these
        data += os.read(reading, 65536)


def test_a_reader_gets_every_line_in_order(ends: tuple[int, int]) -> None:
    reading, writing = ends
    console = Console(writing, note=note)
    lines = b"".join(b"%d\n" % number for number in range(50_000))  # far more than there is room
    console.write(lines)
    assert read_all(console, reading) == lines
    assert not select.select([console], [], [], 0)[0]
    console.close(0)


def test_without_a_reader_lines_are_dropped_counted_and_told(ends: tuple[int, int]) -> None:
    reading, writing = ends
    flags = fcntl.fcntl(writing, fcntl.F_GETFL)
    console = Console(writing, note=note)
    for _ in range(MANY):
        console.write(LINE)
    console.write(b"mine\n", is_own=True)  # for these there is room still
    shown = read_all(console, reading)
    console.write(LINE)
    shown += read_all(console, reading)
    told = [line for line in shown.splitlines() if b"not shown" in line]
    assert len(told) == 1
    assert shown.count(LINE) + int(told[0].split()[0]) == MANY + 1
    assert shown.endswith(LINE)
    assert b"\nmine\n" in shown
    assert fcntl.fcntl(writing, fcntl.F_GETFL) == flags  # they are not ours alone
    console.close(0)


def test_lines_nobody_will_ever_read_are_let_go(ends: tuple[int, int]) -> None:
    _, _writing = ends
    reading, other = os.pipe()
    console = Console(other, note=note)
    os.close(reading)
    for _ in range(5):
        console.write(LINE)
    assert console._waiting == type(console._waiting)()
    assert console._hidden == 5
    console.close(0)
    os.close(other)


def test_a_file_gets_everything_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before\n")
    console = Console(fd, note=note)
    for _ in range(MANY):
        console.write(LINE)
    os.write(fd, b"after\n")  # by another process, say: the place in the file is shared
    assert path.read_bytes() == b"before\n" + LINE * MANY + b"after\n"
    console.close(0)
    os.close(fd)


def test_the_end_hands_over_what_waits_but_not_for_long(ends: tuple[int, int]) -> None:
    reading, writing = ends
    console = Console(writing, note=note)
    console.write(LINE * 5_000)
    console.close(0.1)  # nobody reads
    assert select.select([reading], [], [], TIMEOUT)[0]  # a terminal hands it on a moment later
