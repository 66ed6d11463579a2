"""Checkpoints beside LangGraph's SqliteSaver: the same states, in turn, with the same durability.

SqliteSaver works inside the program that calls it; ours go to the process that owns the database,
and every program on the machine may use them.  LangGraph opens its file in WAL mode with SQLite's
``synchronous=FULL``, an fsync for each put, which is ``durability = "disk"`` here.  With ``NORMAL``
it promises what ``committed`` does, but never syncs by the clock.

The text of every state is new, so that nothing is saved by keeping equal parts once; but for the
conversation, which grows by a turn.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, absolute, compare, interleave
from holdfast.storage.ports import Durability

__all__ = ["run"]

TURN: Final = 985  # characters; with its role about 1,000 bytes
SIZES: Final = {"10 KB": (10, 20), "1 MB": (1_000, 3)}  # turns, and calls in a round
SYNCHRONOUS: Final[dict[Durability, str]] = {"disk": "FULL", "committed": "NORMAL"}
GROWN: Final = 1_000  # turns of the conversation when the measurement begins

_random: Final = random.Random(1)
_WORDS: Final = [_random.randbytes(3).hex() for _ in range(2_000)]
_TEXTS: Final = [" ".join(_random.choices(_WORDS, k=160))[:TURN] for _ in range(1_000)]


class Saver(Protocol):
    """Puts a state in a thread, and gets the newest."""

    def put(self, thread: str, state: dict[str, Any]) -> None:
        """Acknowledged when it returns."""

    def get(self, thread: str) -> Any:
        """The state."""


def run(budget: Budget) -> list[Figure]:
    """With an fsync for each put, and without."""
    figures: list[Figure] = []
    for durability, synchronous in SYNCHRONOUS.items():
        with (
            running_daemon(durability=durability) as daemon,
            daemon.connect() as hub,
            tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
        ):
            peer = _langgraph(Path(folder) / "langgraph.db", synchronous)
            figures += _figures(_Ours(hub), peer, durability, budget.seconds / 5)
    return figures


def _figures(
    ours: Saver, peer: Saver | None, durability: Durability, seconds: float
) -> list[Figure]:
    figures = []
    for name, (turns, calls) in SIZES.items():
        for what in ("put", "get"):
            sides = [
                _side(saver, what, name, turns, calls)
                for saver in (ours, peer)
                if saver is not None
            ]
            rounds = interleave(seconds, *sides)
            figures.append(_figure(f"checkpoint {what} {name}, {durability}", rounds))
    sides = [_growing(saver) for saver in (ours, peer) if saver is not None]
    rounds = interleave(seconds, *sides)
    figures.append(_figure(f"checkpoint of 1 MB, a turn more, {durability}", rounds))
    return figures


def _figure(name: str, rounds: list[list[Round]]) -> Figure:
    if len(rounds) == 1:
        return absolute(name, "us", rounds[0])
    return compare(name, "us", rounds[0], rounds[1], bound=1.0)


def _side(saver: Saver, what: str, thread: str, turns: int, calls: int) -> Callable[[], Round]:
    def put() -> Round:
        return [_timed(saver.put, thread, _new_state(turns)) for _ in range(calls)]

    def get() -> Round:
        return [_timed(saver.get, thread) for _ in range(calls)]

    return put if what == "put" else get


def _growing(saver: Saver) -> Callable[[], Round]:
    state = _new_state(GROWN)

    def put() -> Round:
        samples = []
        for _ in range(3):
            state["messages"].append(_turn())
            samples.append(_timed(saver.put, "growing", state))
        return samples

    return put


def _timed(call: Callable[..., Any], *arguments: Any) -> float:
    began = time.perf_counter_ns()
    call(*arguments)
    return (time.perf_counter_ns() - began) / 1000


def _new_state(turns: int) -> dict[str, Any]:
    return {"step": _random.randrange(10**6), "messages": [_turn() for _ in range(turns)]}


def _turn() -> dict[str, str]:
    text = _random.choice(_TEXTS)
    return {"role": "user", "content": f"{_random.randrange(10**6):06}{text[6:]}"}


class _Ours:
    def __init__(self, hub: holdfast.Hub) -> None:
        self._hub = hub

    def put(self, thread: str, state: dict[str, Any]) -> None:
        self._hub.checkpoints.put(thread, state)

    def get(self, thread: str) -> Any:
        found = self._hub.checkpoints.get(thread)
        assert found is not None
        return found.state


def _langgraph(path: Path, synchronous: str) -> Saver | None:
    try:
        from langgraph.checkpoint.base import empty_checkpoint
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ImportError:
        print(
            "bench: without LangGraph's figures: pip install langgraph-checkpoint-sqlite",
            file=sys.stderr,
        )
        return None
    connection = sqlite3.connect(path, check_same_thread=False)
    saver = SqliteSaver(connection)
    saver.setup()
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return _LangGraph(saver, empty_checkpoint)


class _LangGraph:
    """Each checkpoint comes after the one before, as a graph's do."""

    def __init__(self, saver: Any, empty: Callable[[], dict[str, Any]]) -> None:
        self._saver = saver
        self._empty = empty
        self._configs: dict[str, Any] = {}

    def put(self, thread: str, state: dict[str, Any]) -> None:
        checkpoint = {**self._empty(), "channel_values": state}
        config = self._configs.get(thread) or _config(thread)
        self._configs[thread] = self._saver.put(config, checkpoint, {"step": 1}, {})

    def get(self, thread: str) -> Any:
        return self._saver.get_tuple(_config(thread)).checkpoint["channel_values"]


def _config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
