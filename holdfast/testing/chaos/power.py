"""Power loss under a running daemon: everything dies at once, and the disk forgets.

What was not synced may be there or not, whole or torn; programs and agents are gone with their
memory.  The files of others than SQLite stay as they are.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Final

from holdfast.testing.chaos.world import World
from holdfast.testing.faults.power.platter import LOSSES, Platter
from holdfast.testing.faults.recording import read_recording
from holdfast.testing.oracle.checker import check_lives
from holdfast.testing.oracle.lives import read_journals

__all__ = ["Power"]


class Power:
    """Knows what was on the disk when the power came back last."""

    def __init__(self, world: World, *, seed: int) -> None:
        self._world = world
        self._chance = random.Random(f"power {seed}")
        self._files: dict[str, bytes] = {}  # at the beginning of the recording, all synced
        self._checked: Final = world.folder / "checked"

    def fail(self) -> None:
        """Until everything runs again, on what is left."""
        world = self._world
        loss = self._chance.choice(LOSSES)
        world.note("power", "*", detail=loss)
        world.die()
        recording = world.daemon.faults.path.with_suffix(".disk")
        platter = Platter(self._files)
        if recording.exists():
            for entry in read_recording(recording):
                platter.take(entry)
            recording.unlink()
        files = platter.after(loss, self._chance)
        self._files = {name: bytes(content) for name, content in files.items()}
        self._put(world.daemon.database.parent, world.daemon.database.name)
        self._check(loss)
        world.live_again()

    def _put(self, folder: Path, database: str) -> None:
        for old in folder.glob(f"{database}*"):
            if not old.name.endswith(".lock"):
                old.unlink()
        for name, content in self._files.items():
            (folder / name).write_bytes(content)

    def _check(self, loss: str) -> None:
        """Before anybody repairs it: what was said to be on the disk is there."""
        world = self._world
        world.mark_lives("disk")
        if not self._files:
            return  # it was not made yet
        shutil.rmtree(self._checked, ignore_errors=True)
        self._checked.mkdir()
        database = world.daemon.database.name
        self._put(self._checked, database)
        lives = read_journals([world.journals])
        for life in lives:
            life.level = "disk"
        verdict = check_lives(self._checked / database, lives)
        world.found += verdict.found
        world.violations += (f"after a power loss ({loss}): {each}" for each in verdict.violations)
