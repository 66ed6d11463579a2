"""The guardian: a process of the root's that outlives it, and ends what a killed root leaves.

PDEATHSIG and lifelines end holdfast's own processes; programs that agents have started know
neither.  It waits for the end of a pipe from the root, then SIGKILLs all that is of the root's life
or session.  Nothing is lost with it: the root starts another.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from holdfast.supervisors.linux import set_process_name
from holdfast.supervisors.lives import marks_of

__all__ = ["Guardian", "end_life"]

NAME: Final = "guardian"
OVER: Final = b"over"  # what the root says when it has ended everything itself
PATIENCE: Final = 1.0  # seconds after the last find; what is in the kernel's hands takes longer
ROUND: Final = 0.05  # seconds to wait for the ends of those found, before looking again
# It has to be there when all others are told to go.
NOT_OURS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Guardian:
    """The root's end; no call blocks but ``close``."""

    def __init__(self, life: str) -> None:
        """Fork it.  The caller has one thread; ``life`` is the root's."""
        self._life = life
        self._session = 0
        self._pipe = -1
        self.pid = -1
        self._fork()

    def watch(self, session: int) -> None:
        """All below the root is in this session; the one before is empty."""
        self._session = session
        self._tell(b"%d" % session)

    def renew(self) -> None:
        """It was reaped: fork another.  Raises OSError; then there is none."""
        self._hang_up()
        self.pid = -1
        self._fork()
        self.watch(self._session)

    def close(self) -> None:
        """Nothing is left that it could look for: wait for its end."""
        self._tell(OVER)
        self._hang_up()
        if self.pid > 0:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    def _tell(self, word: bytes) -> None:
        if self._pipe >= 0:
            with suppress(BrokenPipeError):  # it was killed: its successor will be told
                os.write(self._pipe, word + b"\n")

    def _hang_up(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _fork(self) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_OURS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _become_guardian(read_end, self._life)
            self._pipe = write_end
        except OSError:
            os.close(write_end)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
            os.close(read_end)


def _become_guardian(pipe: int, life: str) -> NoReturn:
    """The rest of the guardian's life; it never returns."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in NOT_OURS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_OURS)
        set_process_name(NAME)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        os.chdir("/")
        gc.freeze()  # a collection would touch, and so copy, every page of the root
        session = 0
        while told := os.read(pipe, select.PIPE_BUF):
            last = told.split()[-1]
            if last == OVER:
                os._exit(0)
            session = int(last)
        end_life(life, session)
    finally:
        os._exit(0)


def end_life(life: str, session: int) -> None:
    """SIGKILL all of a life and a session, until there is nothing; ``session`` 0 is none."""
    known: set[tuple[int, int]] = set()
    empty, last = 0, time.monotonic()
    # Twice: a process may be forked behind the place where the first look has come to.
    while empty < 2 and time.monotonic() - last < PATIENCE:
        found = _kill_all(life, session)
        empty = 0 if found else empty + 1
        if not set(found) <= known:
            known.update(found)
            last = time.monotonic()
        _wait(list(found.values()))


def _kill_all(life: str, session: int) -> dict[tuple[int, int], int]:
    """Those that were told to die, by pid and start time, with a descriptor of each."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # it ended meanwhile, or is another user's
            if entry.stat().st_uid != os.geteuid():
                continue
            pidfd = os.pidfd_open(int(entry.name))
            # Before it is looked at: should the pid change hands, the signal finds nobody.
            try:
                start = _is_ours(int(entry.name), life, session)
                if start:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    found[int(entry.name), start] = os.dup(pidfd)
            finally:
                os.close(pidfd)
    return found


def _is_ours(pid: int, life: str, session: int) -> int:
    """The start time of a process that has to go; 0 of any other."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        return 0
    if not (session and int(fields[3]) == session):
        marks = marks_of(pid)
        if marks is None or not marks.are_of(life):
            return 0
    return int(fields[19])


def _wait(pidfds: list[int]) -> None:
    """For the ends of these processes, or a little while; the descriptors are closed."""
    deadline = time.monotonic() + ROUND
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    left = len(pidfds)
    while left and (rest := deadline - time.monotonic()) > 0:
        for pidfd, _ in poll.poll(rest * 1000):
            poll.unregister(pidfd)
            left -= 1
    for pidfd in pidfds:
        os.close(pidfd)
