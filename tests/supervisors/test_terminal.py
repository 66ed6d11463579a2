"""A SIGHUP that a terminal sends when it goes away is told from one that somebody sends."""

from __future__ import annotations

import os
import pty
import signal

from holdfast.supervisors.signals import Terminal


def test_a_terminal_that_hangs_up_is_gone() -> None:
    ready, say_ready = os.pipe()
    gone, say_gone = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.close(say_gone)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        watched = Terminal()
        is_early = watched.is_gone
        os.write(say_ready, b"+")
        os.read(gone, 1)  # its end
        os._exit(0 if watched.is_gone and not is_early else 1)
    assert os.read(ready, 1) == b"+"
    os.close(terminal)
    for fd in (ready, say_ready, gone, say_gone):
        os.close(fd)
    assert os.waitpid(pid, 0)[1] == 0


def test_who_never_had_a_terminal_has_lost_none() -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os._exit(1 if Terminal().is_gone else 0)
    assert os.waitpid(pid, 0)[1] == 0
