"""A client under chaos: a program that does everything with a daemon and writes down what it hears.

``python -m holdfast.testing.chaos.client``; it works until SIGTERM, then flushes and ends.  Its
journal is what the oracle believes; its outboxes are lost with it, as those of any program.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from holdfast.actors.hub import Hub, Level
from holdfast.client import is_there
from holdfast.clock import SystemClock
from holdfast.errors import (
    Conflict,
    HoldfastError,
    InvalidInputError,
    OutboxFullError,
    StorageError,
)
from holdfast.supervisors.linux import die_with_parent
from holdfast.testing.oracle.journal import Journal, Outcome

__all__ = ["AGENTS", "ENTITIES", "ENTITY_TYPE", "EVENT_TYPE", "Client", "main"]

AGENTS: Final = ("alpha", "beta", "gamma", "delta")
ENTITIES: Final = ("first", "second", "third")  # that all clients change
ENTITY_TYPE: Final = "chaos"  # keeps its history: each version says whose it is
EVENT_TYPE: Final = "chaos:event"
BURST: Final = 40  # events at a time, at most
PAUSE: Final = 0.02  # seconds between two acts, at most: the actors have the processors
# A life of the sessions actor begins by the wall clock, which is set by hours: none is over soon.
SESSION_TTL: Final = 30 * 86_400.0  # seconds
PATIENCE: Final = 20.0  # seconds for a call: restarts are waited for, a dead end is found
START: Final = 60.0  # seconds to wait for a daemon


class Client:
    """One life of one client; what it does is drawn from its seed."""

    def __init__(self, hub: Hub, journal: Journal, *, life: str, chance: random.Random) -> None:
        self._hub = hub
        self._journal = journal
        self._life = life
        self._chance = chance
        self._n = 0  # the newest number that was given to a message
        self._versions = dict.fromkeys(ENTITIES, 0)  # as far as this client knows
        self._acts: tuple[tuple[Callable[[], None], int], ...] = (
            (self._emit, 6),
            (self._change, 3),
            (self._put_session, 2),
            (self._put_checkpoint, 1),
            (self._tell, 2),
            (self._read_entity, 1),
            (self._read_session, 1),
            (self._flush, 2),
        )

    def act(self) -> None:
        """One thing, whatever comes of it."""
        acts, weights = zip(*self._acts, strict=True)
        self._chance.choices(acts, weights)[0]()

    def finish(self, patience: float = 60.0) -> None:
        """Have everything acknowledged within so many seconds.  Raises AskTimeoutError."""
        self._hub.flush("committed", timeout=patience)
        self._journal.flushed(self._n, "committed")
        counters = self._hub.events
        self._journal.ended(dropped=counters.dropped, duplicates=counters.duplicates)

    # -- what it does ------------------------------------------------------------------------

    def _next(self, count: int = 1) -> int:
        first = self._n + 1
        self._n += count
        return first

    def _emit(self) -> None:
        count = self._chance.randint(1, BURST)
        first = self._next(count)
        self._journal.sending("event", first, to=self._n)
        for n in range(first, first + count):
            try:
                self._hub.events.emit(EVENT_TYPE, n)
            except OutboxFullError:
                self._journal.told(n, "refused")

    def _tell(self) -> None:
        agent = self._chance.choice(AGENTS)
        for _ in range(self._chance.randint(1, 5)):
            n = self._next()
            self._journal.sending("tell", n, agent=agent)
            try:
                self._hub.ref(agent).tell([self._life, n])
            except OutboxFullError:
                self._journal.told(n, "refused")

    def _change(self) -> None:
        """Compare and set: the version that is expected is the last one it heard of."""
        id = self._chance.choice(ENTITIES)
        n, expected = self._next(), self._versions[id]
        self._journal.sending("change", n, id=id, type=ENTITY_TYPE, expected=expected)
        mine = {"by": self._life, "n": n}
        state = self._hub.state
        try:
            if expected:
                done = state.update(id, mine, expected_version=expected, timeout=PATIENCE)
            else:
                done = state.create(ENTITY_TYPE, mine, id=id, expected_version=0, timeout=PATIENCE)
        except Conflict as conflict:
            self._versions[id] = int(conflict.current or 0)
            self._journal.told(n, "conflict", current=conflict.current)
        except HoldfastError as error:
            self._failed(n, error)
        else:
            self._versions[id] = done.version
            self._journal.told(n, "committed", version=done.version)

    def _put_session(self) -> None:
        levels: tuple[Level, ...] = ("memory", "committed", "committed", "disk")
        level = self._chance.choice(levels)
        n, id = self._next(), f"{self._life}/{self._chance.randint(1, 3)}"
        self._journal.sending("session", n, id=id, level=level)
        try:
            version = self._hub.sessions.put(
                id, n, ttl=SESSION_TTL, durability=level, timeout=PATIENCE
            )
        except HoldfastError as error:
            # Not refused for sure: it may be committed, and its fsync have failed.
            self._journal.told(n, "unknown", error=type(error).__name__)
        else:
            self._journal.told(n, level, version=version)

    def _put_checkpoint(self) -> None:
        n = self._next()
        self._journal.sending("checkpoint", n)
        try:
            id = self._hub.checkpoints.put(self._life, {"n": n}, timeout=PATIENCE)
        except HoldfastError as error:
            self._failed(n, error)
        else:
            self._journal.told(n, "committed", id=id)

    def _read_entity(self) -> None:
        id = self._chance.choice(ENTITIES)
        try:
            entity = self._hub.state.get(id, timeout=PATIENCE)
        except HoldfastError:
            return
        if entity is not None:
            self._versions[id] = max(entity.version, self._versions[id])
            self._journal.read("change", id=id, version=entity.version, **entity.properties)

    def _read_session(self) -> None:
        id = f"{self._life}/{self._chance.randint(1, 3)}"
        try:
            session = self._hub.sessions.get(id, timeout=PATIENCE)
        except HoldfastError:
            return
        self._journal.read("session", id=id, n=None if session is None else session.data)

    def _flush(self) -> None:
        upto = self._n
        levels: tuple[Literal["committed", "disk"], ...] = ("committed", "disk")
        level = self._chance.choice(levels)
        try:
            self._hub.flush(level, timeout=PATIENCE)
        except HoldfastError:
            return
        self._journal.flushed(upto, level)

    def _failed(self, n: int, error: HoldfastError) -> None:
        """An error says that nothing was stored, or does not say."""
        is_refused = isinstance(error, StorageError | InvalidInputError | OutboxFullError)
        outcome: Outcome = "refused" if is_refused else "unknown"
        self._journal.told(n, outcome, error=type(error).__name__)


def main(argv: list[str] | None = None) -> int:
    """0 when everything it sent was acknowledged at the end; 1 when something never was."""
    parser = argparse.ArgumentParser(prog="holdfast.testing.chaos.client", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for what is owed")
    options = parser.parse_args(argv)
    die_with_parent(os.getppid())  # nobody else would end it
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    clock = SystemClock()
    deadline = clock.monotonic() + START
    while not is_there(options.run_dir):
        if clock.monotonic() > deadline:
            print(f"{parser.prog}: no daemon at {options.run_dir}", file=sys.stderr)
            return 1
        ends.wait(PAUSE)
    return _work(options, ends)


def _work(options: argparse.Namespace, ends: threading.Event) -> int:
    run_dir, path, chance = options.run_dir, options.journal, random.Random(options.seed)
    life = path.stem
    sender = f"chaos/{life}"
    journal = Journal(path, life=life, sender=sender, type=EVENT_TYPE)
    hub = Hub(run_dir=run_dir, sender=sender, incarnation="1", source=life, clock=SystemClock())
    client = Client(hub, journal, life=life, chance=chance)
    while not ends.wait(chance.uniform(0.0, PAUSE)):
        client.act()
    try:
        client.finish(options.patience)
    except HoldfastError as error:
        print(f"{life}: {error}", file=sys.stderr)
        return 1
    finally:
        hub.abandon()
    return 0


if __name__ == "__main__":
    sys.exit(main())
