"""The telling side of a restart under traffic, in a process of its own.

``python -m benchmarks.telling FD RUN_DIR NAME``, driven by ``traffic``.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Final

import holdfast
from benchmarks.driven import serve, taken_over
from benchmarks.material import TEXT

__all__ = ["main"]

PERIOD: Final = 0.001  # seconds from tell to tell
FLUSH_TIMEOUT: Final = 30.0  # seconds


class Teller:
    """Tells an actor at a steady pace, from ``begin`` to ``end``; who falls behind catches up."""

    def __init__(self, hub: holdfast.Hub, name: str) -> None:
        self._hub = hub
        self._ref = hub.ref(name)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._count = self._errors = 0
        self._longest = 0.0  # seconds

    def begin(self, _count: int) -> None:
        """Tell, until ``end``."""
        self._thread.start()

    def end(self, _count: int) -> list[float]:
        """How many, how many failed, how many milliseconds the longest call took.

        Once all are acknowledged; one that never is counts as failed.
        """
        self.quit()
        try:
            self._hub.flush(timeout=FLUSH_TIMEOUT)
        except holdfast.HoldfastError:
            self._errors += 1
        return [self._count, self._errors, self._longest * 1000]

    def quit(self) -> None:
        """Tell no more."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        due = time.perf_counter()
        while not self._ends.wait(max(0.0, due - time.perf_counter())):
            began = time.perf_counter()
            try:
                self._ref.tell([began, TEXT])
            except holdfast.HoldfastError:
                self._errors += 1
            self._longest = max(self._longest, time.perf_counter() - began)
            self._count += 1
            due += PERIOD


def main() -> None:
    """Tell as asked."""
    with taken_over() as control, holdfast.connect(Path(sys.argv[2]), source="agent/teller") as hub:
        teller = Teller(hub, sys.argv[3])
        try:
            serve(control, {"begin": teller.begin, "end": teller.end})
        finally:
            teller.quit()


if __name__ == "__main__":
    main()
