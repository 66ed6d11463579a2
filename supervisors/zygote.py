"""The zygote: a process with everything imported that forks children on request.

A supervisor forks one as its first act and talks to it over one socket of datagrams: requests
with the child's descriptors one way; pids with pidfds, and exits, the other.  The zygote is the
children's parent, so it reaps them.  Lost when it dies: its children, which die with it.

Every process here sets PDEATHSIG, which belongs to a thread: a zygote has only one.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn

import msgspec

from holdfast.supervisors.linux import die_with_parent, set_process_name
from holdfast.supervisors.logs import log_to
from holdfast.supervisors.signals import SignalPipe

__all__ = ["Exited", "ForkFailed", "Forked", "FromZygote", "Main", "Zygote", "ZygoteLost"]

# Runs in the child with the request's payload and its descriptors by name; returns the exit code.
Main = Callable[[bytes, dict[str, int]], int]

RECORD_BYTES: Final = 1024 * 1024  # above any datagram: the kernel's wmem_max is 208 KiB
NO_ROOM: Final = f"what it forked cannot be taken over: {os.strerror(errno.EMFILE)}"
MAX_DESCRIPTORS: Final = 253  # SCM_MAX_FD of the kernel
# What a whole daemon is sent (by a terminal before setsid, by systemd, by pkill) is the root's to
# handle, in order.
NOT_OURS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Fork(msgspec.Struct, frozen=True, array_like=True, tag="fork"):
    """Fork a child; its descriptors come along in the order of ``names``."""

    id: int
    payload: bytes
    names: list[str]


class Import(msgspec.Struct, frozen=True, array_like=True, tag="import"):
    """Have these modules, so that what is forked from now on has them; no answer."""

    modules: list[str]


class Forked(msgspec.Struct, frozen=True, array_like=True, tag="forked"):
    """The fork ``id`` is a process; ``pidfd`` is the receiver's to close."""

    id: int
    pid: int
    pidfd: int = -1


class ForkFailed(msgspec.Struct, frozen=True, array_like=True, tag="fork_failed"):
    """The fork ``id`` was refused by the kernel."""

    id: int
    reason: str


class Exited(msgspec.Struct, frozen=True, array_like=True, tag="exited"):
    """A child was reaped; ``status`` as waitpid gives it."""

    pid: int
    status: int


class ZygoteLost(msgspec.Struct, frozen=True, array_like=True, tag="lost"):
    """Nothing more will come: the zygote is dying or dead, and its children with it."""

    reason: str = "it died"


FromZygote = Forked | ForkFailed | Exited | ZygoteLost

_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(Fork | Import).decode
_decode_reply = msgspec.msgpack.Decoder(FromZygote).decode


class Zygote:
    """A supervisor's end; no call blocks but ``close``."""

    def __init__(
        self,
        main: Main,
        *,
        preload: Sequence[str] = (),
        name: str = "zygote",
        own_session: bool = False,
    ) -> None:
        """Fork the zygote.  The caller has one thread and has written out its streams.

        ``own_session``: what it forks, and all below, is apart from the terminal.
        """
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        # Until the zygote ignores them; one that comes meanwhile to both is this process's.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_OURS)
        self.pid = os.fork()
        if self.pid == 0:
            _become_zygote(theirs.detach(), main, preload, name, parent, own_session)
        self.session = self.pid if own_session else os.getsid(0)
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        theirs.close()
        self._channel.setblocking(False)

    def fileno(self) -> int:
        """Readable when there is something to read."""
        return self._channel.fileno()

    def fork(self, ident: int, payload: bytes, descriptors: Mapping[str, int]) -> None:
        """Ask for a child.  Answer: Forked or ForkFailed with the same id.

        Raises OSError when the request does not fit (EMSGSIZE) or the zygote does not read.
        """
        request = _encode(Fork(ident, payload, list(descriptors)))
        socket.send_fds(self._channel, [request], list(descriptors.values()))

    def preload(self, modules: Sequence[str]) -> None:
        """Have it import them; it forks nobody meanwhile.  Raises OSError."""
        self._channel.send(_encode(Import(list(modules))))

    def read(self) -> list[FromZygote]:
        """What came since; a ZygoteLost is the last there will be."""
        messages: list[FromZygote] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._channel, RECORD_BYTES, 1)
            except BlockingIOError:
                return messages
            except ConnectionError:
                data, fds = b"", []
            if not data:
                messages.append(ZygoteLost())
                return messages
            message = _decode_reply(data)
            if isinstance(message, Forked):
                # Without a descriptor nobody may signal it; it goes with its zygote.
                message = (
                    msgspec.structs.replace(message, pidfd=fds[0]) if fds else ZygoteLost(NO_ROOM)
                )
            messages.append(message)
            if isinstance(message, ZygoteLost):
                return messages

    def kill(self) -> None:
        """SIGKILL it, and so its children.  The pid is ours until it was reaped."""
        os.kill(self.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Close this end; the zygote exits when it sees that."""
        self._channel.close()

    def close(self) -> None:
        """Kill it and reap it; harmless when that was done."""
        self.hang_up()
        with suppress(ProcessLookupError, ChildProcessError):
            self.kill()
            os.waitpid(self.pid, 0)


def _become_zygote(
    channel: int,
    main: Main,
    preload: Sequence[str],
    name: str,
    parent: int,
    own_session: bool,
) -> NoReturn:
    """The rest of the zygote's life.

    It never returns, so the objects of the process it was forked from are never collected; their
    descriptors are closed here and the numbers used again.  A supervisor that forks another zygote
    is at work: whatever of it would write to one of these has to be told here not to.
    """
    try:
        die_with_parent(parent)
        log_to(None)
        if own_session:
            os.setsid()
        signal.set_wakeup_fd(-1)
        for number in NOT_OURS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_OURS)
        os.closerange(3, channel)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, 0)
        os.close(null)
        set_process_name(name)
        gc.freeze()  # what it was forked with: a collection would touch, and so copy, all of it
        _import(preload)
        _serve(socket.socket(fileno=channel), main)
    except BaseException:
        lost = _encode(ZygoteLost(traceback.format_exc()))
        with suppress(OSError), socket.socket(fileno=os.dup(channel)) as line:
            line.send(lost)
    finally:
        os._exit(1)


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        import_module(module)
    gc.collect()
    gc.freeze()  # the collector of a child would touch, and so copy, every page of this


def _serve(channel: socket.socket, main: Main) -> NoReturn:
    signals = SignalPipe([signal.SIGCHLD])
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(signals, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if signals.fileno() in ready:
            signals.read()
            _reap(channel)
        if channel.fileno() in ready:
            data, fds, _, _ = socket.recv_fds(channel, RECORD_BYTES, MAX_DESCRIPTORS)
            if not data:
                os._exit(0)
            request = _decode_request(data)
            if isinstance(request, Fork):
                _take(channel, signals, main, request, fds)
            else:
                with suppress(Exception):  # who needs it imports it again, and says why it cannot
                    _import(request.modules)


def _reap(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        channel.send(_encode(Exited(pid, status)))


def _take(
    channel: socket.socket, signals: SignalPipe, main: Main, request: Fork, fds: list[int]
) -> None:
    """Fork, unless the kernel had no room here for the descriptors and dropped some."""
    if len(fds) == len(request.names):
        _fork(channel, signals, main, request, fds)
    else:
        channel.send(_encode(ForkFailed(request.id, f"its zygote: {os.strerror(errno.EMFILE)}")))
    for fd in fds:
        os.close(fd)


def _fork(
    channel: socket.socket, signals: SignalPipe, main: Main, request: Fork, fds: list[int]
) -> None:
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        channel.send(_encode(ForkFailed(request.id, f"fork: {error.strerror}")))
        return
    if pid == 0:
        _become_child(channel, signals, main, request, fds, parent)
    _lead_a_group(pid)
    # Nobody else reaps, so the pid is still this child's whatever happened to it meanwhile.
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:  # nobody could signal it without one
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        channel.send(_encode(ForkFailed(request.id, f"its zygote: {error.strerror}")))
        return
    socket.send_fds(channel, [_encode(Forked(request.id, pid))], [pidfd])
    os.close(pidfd)


def _lead_a_group(pid: int) -> None:
    """Both sides do it: neither goes on before the child, and what it starts, can be told apart."""
    with suppress(OSError):  # it has ended meanwhile
        os.setpgid(pid, pid)


def _become_child(
    channel: socket.socket,
    signals: SignalPipe,
    main: Main,
    request: Fork,
    fds: list[int],
    parent: int,
) -> NoReturn:
    code = 1
    try:
        die_with_parent(parent)
        _lead_a_group(0)
        signals.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channel.close()
        code = main(request.payload, dict(zip(request.names, fds, strict=True)))
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        with suppress(Exception):
            traceback.print_exc()
    finally:
        # Past the interpreter's own end: its exit hooks are the zygote's, not the child's.
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code & 0xFF)
