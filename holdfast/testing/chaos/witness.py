"""The agent under chaos: writes down what it handles, in a journal for each of its lives."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from holdfast.actors.agent import Agent
from holdfast.testing.oracle.journal import Journal

__all__ = ["Witness", "spoil"]


class Witness(Agent):
    """``[life, n]`` is written down; ``["exit", code]`` ends it at once.

    It starts as the files in ``folder`` say that ``spoil`` has left there.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self._folder = Path(folder)

    def on_start(self) -> None:
        """Slowly, or not at all, where that is wanted."""
        life = str(self.mailbox.incarnation)
        name = f"agent-{self.name}-{life}"
        self._journal = Journal(
            self._folder / "journals" / f"{name}.jsonl",
            life=name,
            agent=self.name,
            order=[int(part) for part in life.split(".")],
        )
        slow = self._folder / f"slow-{self.name}"
        with suppress(OSError, ValueError):
            threading.Event().wait(float(slow.read_text()))
        slow.unlink(missing_ok=True)
        bad = self._folder / f"bad-{self.name}"
        with suppress(OSError, ValueError):
            left = int(bad.read_text()) - 1
            bad.write_text(str(left)) if left > 0 else bad.unlink()
            raise RuntimeError("a bad start, as chaos wants it")

    def on_receive(self, message: object) -> object:
        """None; a number is answered."""
        match message:
            case ["exit", int(code)]:
                os._exit(code)
            case [str(sender), int(n)]:
                current = self.mailbox.current
                again = current is not None and current.redelivered
                self._journal.handled(sender, n, again=again)
                return None
        return message


def spoil(folder: Path, agent: str, how: str, amount: float) -> None:
    """Let its next start be ``slow`` by so many seconds, or ``bad`` so many times."""
    new = folder / f"{how}-{agent}.new"
    new.write_text(str(int(amount) if how == "bad" else amount))
    new.replace(folder / f"{how}-{agent}")
