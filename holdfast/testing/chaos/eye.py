"""The eye: looks at the daemon's processes twenty times a second, from outside.

What it saw last is where others find a process by its name.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from holdfast.testing.chaos.schedule import ACTORS
from holdfast.testing.processes import Process, descendants, look

__all__ = ["Eye"]

PERIOD: Final = 0.05  # seconds between two looks
MOST_FDS: Final = 24  # of the root, above those at the beginning
MOST_RSS: Final = 24 * 1024 * 1024  # bytes, likewise
ZOMBIE: Final = 1.0  # seconds that a process may stay one, while who reaps it is not stopped
MOST: Final = 20  # violations; a leak is seen at every look


class Eye(threading.Thread):
    """From its start on; ``watch`` says which root."""

    def __init__(self) -> None:
        super().__init__(name="eye", daemon=True)
        self.violations: list[str] = []
        self.looks = 0
        self._root = 0
        self._base = (0, 0)  # descriptors and bytes of the root when it was new
        self._seen: dict[str, Process] = {}
        self._zombies: dict[Process, float] = {}  # since when
        self._lock = threading.Lock()
        self._ends = threading.Event()

    def watch(self, root: int) -> None:
        """A root that is ready; 0: there is none."""
        with self._lock:
            self._root = root
            self._base = _used(root)
            self._zombies.clear()
            self._seen.clear()
        if root:
            self._look()

    def find(self, name: str) -> Process | None:
        """The process that showed this name at the last look."""
        return self._seen.get(name[:15])

    def everyone(self) -> list[Process]:
        """Whoever was there at the last look."""
        return list(self._seen.values())

    def run(self) -> None:
        """Until ``stop``."""
        while not self._ends.wait(PERIOD):
            self._look()

    def stop(self) -> None:
        """No more looks."""
        self._ends.set()
        self.join()

    def _look(self) -> None:
        with self._lock:
            root, base = self._root, self._base
        if not root:
            return
        seen = descendants(root)
        if (now := look(root)) is None or now.state in "ZX":
            return  # what is below it is somebody else's by now
        with self._lock:
            if root == self._root:
                self.looks += 1
                self._judge(seen, _used(root), base)

    def _judge(
        self, seen: dict[int, Process], used: tuple[int, int], base: tuple[int, int]
    ) -> None:
        alive = [process for process in seen.values() if process.state not in "ZX"]
        counts = Counter(process.name for process in alive)
        self._seen = {process.name: process for process in alive}
        for name in ACTORS:
            if counts[name[:15]] > 1:
                self._violated(f"{counts[name[:15]]} processes of {name!r} at once")
        now = time.monotonic()
        zombies = {process for process in seen.values() if process.state == "Z"}
        stopped = {pid for pid, process in seen.items() if process.state == "T"}
        self._zombies = {
            (life := process._replace(parent=0)): now
            if process.parent in stopped
            else self._zombies.get(life, now)
            for process in zombies
        }
        for process, since in self._zombies.items():
            if now - since > ZOMBIE:
                self._violated(f"{process} for {now - since:.1f} s")
        if used[0] > base[0] + MOST_FDS:
            self._violated(f"the root has {used[0]} descriptors, {base[0]} when it was new")
        if used[1] > base[1] + MOST_RSS:
            self._violated(f"the root has {used[1]} bytes in use, {base[1]} when it was new")

    def _violated(self, text: str) -> None:
        if len(self.violations) < MOST:
            self.violations.append(text)


def _used(pid: int) -> tuple[int, int]:
    with suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return len(os.listdir(f"/proc/{pid}/fd")), pages * resource.getpagesize()
    return 0, 0
