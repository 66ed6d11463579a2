"""A consumer as a process of its own: ``python -m tests.actors.consuming RUN_DIR EVERY``.

It handles the events ``n`` under the name "indexer", prints the number of each, acknowledges
every so many of them, and prints that too once it is committed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import holdfast
from tests import forkserver
from tests.actors.sending import ROOT
from tests.daemon import TIMEOUT, Daemon

NAME = "indexer"


def main() -> None:
    run_dir, every = sys.argv[1], int(sys.argv[2])
    with holdfast.connect(run_dir) as hub:
        subscription = hub.events.subscribe(types="n", name=NAME, start="first", timeout=TIMEOUT)
        print("began", flush=True)
        for count, event in enumerate(subscription, 1):
            print("handled", event.seq, flush=True)
            if count % every == 0:
                subscription.ack(event)
                print("acked", event.seq, flush=True)


class Consumer:
    """Such a process, as a test sees it."""

    def __init__(self, process: subprocess.Popen[str], lines: IO[str]) -> None:
        self._process = process
        self._lines = lines
        self.handled: list[int] = []
        self.acked = 0

    def read(self, handled: int = 0) -> None:
        """Until it has handled so many more, or ended."""
        until = len(self.handled) + handled
        for line in self._lines:
            word, *number = line.split()
            if word == "handled":
                self.handled += map(int, number)
            elif word == "acked":
                (self.acked,) = map(int, number)
            if len(self.handled) == until:
                return

    def kill(self) -> None:
        """SIGKILL; what it had said by then is read."""
        self._process.kill()
        self._process.wait(TIMEOUT)
        self.read(-1)


@contextmanager
def consumer(daemon: Daemon, *, every: int) -> Iterator[Consumer]:
    command = ["tests.actors.consuming", str(daemon.run_dir), str(every)]
    with forkserver.Popen[str](command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "began\n"
            yield Consumer(process, process.stdout)
        finally:
            process.kill()
            process.wait(TIMEOUT)


if __name__ == "__main__":
    main()
