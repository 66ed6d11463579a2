"""``holdfast top`` on a terminal of its own, while 64 actors run and 20,000 events a second come.

The figure is processor time by wall time of the process that shows them, once it has started; and
what the events waited for meanwhile, as ``load`` has it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from benchmarks.daemon import Daemon, running_daemon
from benchmarks.loaders import Offer, Offered
from benchmarks.measure import Budget, Figure, absolute
from benchmarks.processes import cpu_ns
from holdfast.cli.daemon import tree_of, walk

__all__ = ["run"]

ACTORS: Final = 64  # processes of the tree, supervisors among them
OWN: Final = 10  # of them are there without agents
LOADERS: Final = 4
RATE: Final = 5_000  # events a second of each
START: Final = 10.0  # seconds until it has drawn the tree, at most
SETTLE: Final = 2.0  # seconds in a view before it is measured
SIZE: Final = struct.pack("HHHH", 40, 120, 0, 0)  # lines, columns
FLUSH: Final = 60.0
SHARE: Final = 10.0  # percent of a core, at most
WAIT_MS: Final = 50.0


def run(budget: Budget) -> list[Figure]:
    """The tree, then the events, then the sessions."""
    seconds = max(3.0, budget.seconds)
    loaders = [f"loader{number}" for number in range(LOADERS)]
    names = [*loaders, *(f"idle{number}" for number in range(ACTORS - OWN - LOADERS))]
    agents = dict.fromkeys(names, "loaders:Loader")
    with running_daemon(agents, start="parallel") as daemon, daemon.connect() as hub:
        count = sum(1 for _ in walk(tree_of(hub).root))
        assert count == ACTORS, count
        span = START / 2 + 3 * (seconds + SETTLE)
        offer = Offer(start=time.monotonic() + 0.5, rate=RATE, seconds=span, flush_timeout=FLUSH)
        asked = [hub.ref(n).ask(offer, block=False, timeout=span + FLUSH + 10) for n in loaders]
        shares = _shares(daemon, seconds)
        offered = [msgspec.convert(future.get(), Offered) for future in asked]
    rate = sum(each.count / each.seconds for each in offered)
    return [
        *(
            absolute(f"top: {view}, 64 actors", "% of a core", [[share]], bound=SHARE)
            for view, share in shares.items()
        ),
        absolute("top: events meanwhile", "1/s", [[rate]], better="higher"),
        absolute(
            "top: longest wait of an emit meanwhile",
            "ms",
            [[max(each.longest_ms for each in offered)]],
            bound=WAIT_MS,
        ),
    ]


def _shares(daemon: Daemon, seconds: float) -> dict[str, float]:
    found = {}
    with _shown(daemon) as (pid, terminal):
        for key, view in (("1", "tree"), ("2", "events"), ("3", "sessions")):
            os.write(terminal, key.encode())
            time.sleep(SETTLE)
            began, before = time.monotonic(), cpu_ns(pid)
            time.sleep(seconds)
            found[view] = (cpu_ns(pid) - before) / 1e7 / (time.monotonic() - began)
    return found


@contextmanager
def _shown(daemon: Daemon) -> Iterator[tuple[int, int]]:
    """The pid of ``top``, and the end of its terminal where keys are pressed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast", "top", "--run-dir", str(daemon.run_dir)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    )
    os.close(theirs)
    is_drawn, is_over = threading.Event(), threading.Event()
    reader = threading.Thread(target=_read, args=(ours, is_drawn, is_over))
    reader.start()
    try:
        assert is_drawn.wait(START), "top shows nothing"
        yield process.pid, ours
        assert process.poll() is None, "top has ended"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        is_over.set()
        reader.join()
        os.close(ours)


def _read(terminal: int, is_drawn: threading.Event, is_over: threading.Event) -> None:
    """What it draws goes nowhere, as fast as it comes."""
    while not is_over.is_set():
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                if b"writer" in os.read(terminal, 65_536):
                    is_drawn.set()
            except OSError:  # the other end is closed
                return
