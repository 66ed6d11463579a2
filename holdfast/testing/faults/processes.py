"""Killing and stopping processes by name at random times, from outside of the tree.

A schedule is made of a seed alone, so that it can be printed and run again.  What was done is in
the daemon's record of faults, if it has one.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec

from holdfast.testing.faults.plan import Injected

if TYPE_CHECKING:
    from holdfast.testing.daemon import Daemon

__all__ = ["Strike", "Strikes", "schedule"]

ENDING: Final = 30.0  # seconds for the strike under way to end; a bound on failure


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """SIGKILL ``at`` seconds from the beginning; or SIGSTOP, and SIGCONT ``seconds`` later."""

    at: float
    process: str
    do: Literal["kill", "stop"] = "kill"
    seconds: float = 0.0


def schedule(
    *,
    seed: int,
    processes: Sequence[str],
    count: int,
    within: float,
    stops: float = 0.0,
    longest_stop: float = 1.0,
) -> list[Strike]:
    """``count`` strikes in ``within`` seconds, a part of which, ``stops``, are no kills.

    The same arguments give the same strikes.
    """
    chance = random.Random(seed)
    strikes = []
    for at in sorted(chance.uniform(0.0, within) for _ in range(count)):
        process = chance.choice(processes)
        is_stop = chance.random() < stops
        seconds = round(chance.uniform(0.0, longest_stop), 3) if is_stop else 0.0
        do: Literal["kill", "stop"] = "stop" if is_stop else "kill"
        strikes.append(Strike(at=round(at, 3), process=process, do=do, seconds=seconds))
    return strikes


class Strikes:
    """A block during which a schedule is carried out; leaving it waits for the rest of it.

    A process that is down when it is its turn is struck when it is back.  One strike at a time: a
    long one puts off those behind it.
    """

    def __init__(self, daemon: Daemon, strikes: Sequence[Strike]) -> None:
        self._daemon = daemon
        self._strikes = strikes
        self._is_over = threading.Event()  # nobody waits for the rest
        self._thread = threading.Thread(target=self._run, name="strikes", daemon=True)
        self.failure: BaseException | None = None  # raised at the end of the block
        self.done: list[Strike] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            self._is_over.set()
        last = self._strikes[-1].at if self._strikes else 0.0
        self._thread.join(last + ENDING * (1 + len(self._strikes)))
        if exc is None and self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for strike in self._strikes:
                if self._is_over.wait(max(0.0, began + strike.at - time.monotonic())):
                    return
                self._carry_out(strike)
                self.done.append(strike)
        except BaseException as error:
            self.failure = error

    def _carry_out(self, strike: Strike) -> None:
        pid, pidfd = self._daemon.until(lambda: self._daemon.watched(strike.process))
        try:
            self._write_down(strike, pid)
            number = signal.SIGKILL if strike.do == "kill" else signal.SIGSTOP
            with suppress(ProcessLookupError):  # it has died of something else
                signal.pidfd_send_signal(pidfd, number)
                if strike.do == "stop":
                    self._is_over.wait(strike.seconds)
                    signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        finally:
            os.close(pidfd)

    def _write_down(self, strike: Strike, pid: int) -> None:
        if self._daemon.is_rigged:
            detail = f"{strike.seconds:g} s" if strike.do == "stop" else ""
            self._daemon.faults.record.append(
                Injected(process=strike.process, pid=pid, kind=strike.do, detail=detail)
            )
