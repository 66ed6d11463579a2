"""The fork server, driven as a supervisor drives it, without a supervisor."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.supervisors.zygote import Exited, Forked, ForkFailed, FromZygote, Zygote, ZygoteLost

TIMEOUT = 10.0


def obey(payload: bytes, descriptors: dict[str, int]) -> int:
    """What a child under test does; runs in the child."""
    match payload.split():
        case [b"exit", code]:
            return int(code)
        case [b"raise"]:
            raise RuntimeError("as told")
        case [b"die", number]:
            os.kill(os.getpid(), int(number))
        case [b"tell"]:
            opened = sorted(int(name) for name in os.listdir("/proc/self/fd"))
            names = " ".join(f"{name}={fd}" for name, fd in descriptors.items())
            os.write(descriptors["out"], f"{len(opened) - 1} {names}".encode())
        case _:
            os.write(descriptors["out"], b"here")
            while True:
                signal.pause()
    return 0


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    zygote = Zygote(obey, name="zygote:test")
    yield zygote
    zygote.close()


def hear(zygote: Zygote, count: int) -> list[FromZygote]:
    """The next messages, in order."""
    heard: list[FromZygote] = []
    while len(heard) < count:
        assert select.select([zygote], [], [], TIMEOUT)[0], heard
        heard += zygote.read()
    return heard


def start(zygote: Zygote, payload: bytes = b"stay") -> tuple[Forked, socket.socket]:
    """A child that has said it is there, and the line to it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    zygote.fork(1, payload, {"out": theirs.fileno()})
    theirs.close()
    (forked,) = hear(zygote, 1)
    assert isinstance(forked, Forked)
    return forked, ours


def is_dead(forked: Forked) -> bool:
    poll = select.poll()
    poll.register(forked.pidfd, select.POLLIN)
    ended = bool(poll.poll(TIMEOUT * 1000))
    os.close(forked.pidfd)
    return ended


@pytest.mark.parametrize(
    ("payload", "exit_code"),
    [(b"exit 0", 0), (b"exit 7", 7), (b"raise", 1), (b"die 9", -9), (b"die 11", -11)],
)
def test_an_exit_is_told_as_it_was(zygote: Zygote, payload: bytes, exit_code: int) -> None:
    zygote.fork(5, payload, {})
    forked, exited = hear(zygote, 2)
    assert isinstance(forked, Forked)
    assert isinstance(exited, Exited)
    assert (forked.id, exited.pid) == (5, forked.pid)
    assert os.waitstatus_to_exitcode(exited.status) == exit_code
    assert is_dead(forked)


def test_a_child_has_its_own_descriptors_and_no_others(zygote: Zygote) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    extra = os.open(os.devnull, os.O_RDONLY)
    zygote.fork(1, b"tell", {"out": theirs.fileno(), "extra": extra})
    # Standard input, output and error, and the two; the zygote keeps none for the next child.
    assert ours.recv(100).split()[0] == b"5"
    zygote.fork(2, b"tell", {"out": theirs.fileno()})
    assert ours.recv(100).split()[0] == b"4"
    for message in hear(zygote, 4):
        if isinstance(message, Forked):
            os.close(message.pidfd)
    for sock in (ours, theirs):
        sock.close()
    os.close(extra)


def test_many_children_that_die_at_once_are_all_told(zygote: Zygote) -> None:
    count = 20
    for number in range(count):
        zygote.fork(number, b"die 9", {})
    heard = hear(zygote, 2 * count)
    pids = {message.pid for message in heard if isinstance(message, Forked)}
    assert {message.pid for message in heard if isinstance(message, Exited)} == pids
    assert len(pids) == count
    assert all(is_dead(message) for message in heard if isinstance(message, Forked))


def test_a_killed_zygote_takes_its_children_along(zygote: Zygote) -> None:
    forked, line = start(zygote)
    assert line.recv(4) == b"here"
    zygote.kill()
    assert is_dead(forked)
    assert isinstance(hear(zygote, 1)[0], ZygoteLost)
    assert line.recv(1) == b""
    line.close()
    os.waitpid(forked.pid, 0)  # it was adopted by this process


def test_a_zygote_and_its_children_die_with_what_forked_it() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    parent = os.fork()
    if parent == 0:
        zygote = Zygote(obey)
        zygote.fork(1, b"stay", {"out": theirs.fileno()})
        signal.pause()
        os._exit(0)
    theirs.close()
    assert ours.recv(4) == b"here"
    os.kill(parent, signal.SIGKILL)
    assert ours.recv(1) == b""  # the child held the last copy of the other end
    ours.close()
    os.waitpid(parent, 0)


def test_a_zygote_ends_when_its_channel_is_closed(zygote: Zygote) -> None:
    zygote.hang_up()
    pid, status = os.waitpid(zygote.pid, 0)
    assert (pid, os.waitstatus_to_exitcode(status)) == (zygote.pid, 0)


def test_ctrl_c_and_sigterm_are_nothing_to_a_zygote(zygote: Zygote) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(zygote.pid, number)
    zygote.fork(1, b"exit 3", {})
    forked, _ = hear(zygote, 2)
    assert isinstance(forked, Forked)
    assert is_dead(forked)


def test_a_request_that_is_too_large_is_refused_at_once(zygote: Zygote) -> None:
    with pytest.raises(OSError) as error:  # noqa: PT011 - the number is what counts
        zygote.fork(1, b"x" * 1_000_000, {})
    assert error.value.errno == errno.EMSGSIZE
    forked, line = start(zygote)
    os.kill(forked.pid, signal.SIGKILL)
    assert is_dead(forked)
    line.close()


def test_a_module_that_cannot_be_preloaded_is_why_the_zygote_is_lost() -> None:
    zygote = Zygote(obey, preload=["no_such_module"])
    (lost,) = hear(zygote, 1)
    assert isinstance(lost, ZygoteLost)
    assert "No module named 'no_such_module'" in lost.reason
    zygote.close()


def test_a_fork_that_the_kernel_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = os.fork

    def refuse() -> int:
        if os.getpid() != here:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork()

    here = os.getpid()
    monkeypatch.setattr(os, "fork", refuse)
    zygote = Zygote(obey)
    zygote.fork(4, b"exit 0", {})
    assert hear(zygote, 1) == [ForkFailed(4, "fork: Resource temporarily unavailable")]
    zygote.close()
