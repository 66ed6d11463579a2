"""What processes write to standard output and error: taken by their supervisor, line by line.

A supervisor makes two pipes for each child, signs what comes out of them, keeps it in the child's
file and passes it on to its own standard error; that of a nested supervisor is such a pipe again.
Lost when the supervisor dies: what its children's pipes held, at most 64 KiB each.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Literal, TextIO

from holdfast.actors.mailbox import Mailbox
from holdfast.clock import Clock
from holdfast.supervisors.console import Console
from holdfast.supervisors.lines import Lines, Others, line_head, when
from holdfast.supervisors.linux import buffer_c_output_by_lines
from holdfast.supervisors.logfiles import LogFiles
from holdfast.supervisors.spec import ChildSpec, Environment

__all__ = ["ChildOutput", "Output", "prepare_streams", "take_streams"]

# Descriptors of a fork request, by name: no actor can be called so.
STREAMS: Final[Mapping[str, tuple[int, Literal["STDOUT", "STDERR"]]]] = {
    "/stdout": (1, "STDOUT"),
    "/stderr": (2, "STDERR"),
}
# Bytes of one stream until the others have their turn.  Signed they are up to 50 times as many,
# if there is a line end in each, and then take 3 ms.
TURN: Final = 4 * 1024
GRACE: Final = 0.5  # seconds at the end for who reads our standard error


class Output:
    """Where the lines of a supervisor and of its children go."""

    def __init__(self, name: str, environment: Environment, *, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._mailbox: Mailbox | None = None
        folder = Path(environment.log_folder)
        text = "{} lines are not shown here; look in {}".format
        self._console = Console(
            2,
            note=lambda count: self._note("WARNING", text(count, folder)),
        )
        self._files = LogFiles(
            folder,
            max_bytes=environment.log_max_bytes,
            backups=environment.log_backups,
            note=self._note,
            tell=partial(self._console.write, is_own=True),
        )

    def attach(self, mailbox: Mailbox) -> None:
        """From now on whatever there is to do is done while ``mailbox`` waits."""
        self._mailbox = mailbox
        mailbox.watch(self._console.fileno(), self._console.flush)

    def child(self, spec: ChildSpec) -> ChildOutput:
        """That of one child, for all its lives."""
        assert self._mailbox is not None
        return ChildOutput(spec, output=self, mailbox=self._mailbox, clock=self._clock)

    def log(self, lines: bytes) -> None:
        """Lines of a nested supervisor: its own keeps them."""
        self._console.write(lines, is_own=True)

    def log_root(self, lines: bytes) -> None:
        """Lines of the root, which nobody else keeps."""
        self._files.write(self._name, lines)
        self._console.write(lines, is_own=True)

    def take(self, actor: str, own: bytes, lines: bytes) -> None:
        """Lines that came from the child ``actor``; ``own`` are those that it is meant by."""
        if own:
            self._files.write(actor, own)
        self._console.write(lines)

    def reconfigure(self, environment: Environment) -> None:
        """Other bounds of the files from now on."""
        self._files.max_bytes = environment.log_max_bytes
        self._files.backups = environment.log_backups

    def close(self) -> None:
        """Hand over what waits, if somebody takes it."""
        self._console.close(GRACE)

    def _note(self, level: str, text: str) -> bytes:
        head = line_head(when(self._clock.time_us()), level, self._name, os.getpid())
        return f"{head}{text}\n".encode(errors="backslashreplace")


class ChildOutput:
    """The pipes of one child's present life."""

    def __init__(self, spec: ChildSpec, *, output: Output, mailbox: Mailbox, clock: Clock) -> None:
        self._name = spec.id
        self._others = Others(spec.id) if spec.is_supervisor else None
        self._output = output
        self._mailbox = mailbox
        self._clock = clock
        self._given: list[int] = []  # the child's ends, until it has them
        self._streams: dict[str, int] = {}  # ours, until it is there
        self._lines: dict[int, Lines] = {}  # of those that are read, by descriptor

    def begin(self) -> dict[str, int]:
        """Another life: the descriptors that it is born with."""
        descriptors = {}
        for name in STREAMS:
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(ours, False)
            self._streams[name] = ours
            self._given.append(theirs)
            descriptors[name] = theirs
        return descriptors

    def given(self) -> None:
        """The request to fork is sent, or was not: the ends in it are the child's alone."""
        for fd in self._given:
            os.close(fd)
        self._given.clear()

    def listen(self, pid: int) -> None:
        """The process is there; not before, since its lines carry its pid."""
        for name, fd in self._streams.items():
            self._lines[fd] = Lines(
                STREAMS[name][1],
                actor=self._name,
                pid=pid,
                is_supervisor=self._others is not None,
            )
            self._mailbox.watch(fd, partial(self._read, fd))
        self._streams.clear()

    def end(self) -> None:
        """It is over: take what is there, and wait for no program that holds the pipes still."""
        for fd in list(self._lines):
            left = _readable(fd)
            while left > 0 and (data := self._data(fd)):
                left -= len(data)
            self._finish(fd)
        for fd in self._streams.values():  # of one that never was
            os.close(fd)
        self._streams.clear()

    def _read(self, fd: int) -> tuple[()]:
        if self._data(fd) == b"":
            self._finish(fd)  # the child has closed it, and lives
        return ()

    def _data(self, fd: int) -> bytes | None:
        """Take a turn's worth; None when nothing is there."""
        try:
            data = os.read(fd, TURN)
        except BlockingIOError:
            return None
        if data:
            self._take(self._lines[fd].feed(data, when(self._clock.time_us())))
        return data

    def _finish(self, fd: int) -> None:
        self._mailbox.unwatch(fd)
        os.close(fd)
        self._take(self._lines.pop(fd).finish(when(self._clock.time_us())))

    def _take(self, lines: bytes) -> None:
        if lines:
            own = lines if self._others is None else self._others.left_out(lines)
            self._output.take(self._name, own, lines)


def prepare_streams() -> None:
    """In the root, before it forks: what children print appears at once, and is never refused.

    Done once, since it takes as long as a tenth of a restart may.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else a file of ours would get the number of one that was closed
    os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    sys.stdout, sys.stderr = _text_stream(1), _text_stream(2)
    if sys.__stdout__ is not None:
        sys.__stdout__.reconfigure(line_buffering=True)
    buffer_c_output_by_lines()


def take_streams(descriptors: dict[str, int]) -> None:
    """In the child, before anything else: the pipes become its standard output and error."""
    for name, (number, _) in STREAMS.items():
        fd = descriptors.pop(name)
        os.dup2(fd, number)
        os.close(fd)


def _text_stream(fd: int) -> TextIO:
    """Written out at each line end, and never refusing a text."""
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _readable(fd: int) -> int:
    """Bytes in a pipe."""
    count = bytearray(4)
    with suppress(OSError):
        fcntl.ioctl(fd, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)
