"""The watchdog of one supervisor: which of its children hang, and their end.

It looks at their flight records, one timer for all, and wakes no child.  It only counts time that
it was awake itself: a supervisor that was stopped for an hour blames nobody for that hour.
Lost when the supervisor dies: since when a child shows no sign of life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, Protocol

import msgspec
from loguru import logger

from holdfast.actors.reactor import Timer
from holdfast.actors.recorder import Signs
from holdfast.supervisors.children import Child
from holdfast.supervisors.linux import process_stat
from holdfast.supervisors.spec import SupervisorSpec
from holdfast.supervisors.vitals import STACK_SIGNAL

__all__ = ["Home", "Hung", "Watchdog"]

STALL: Final = 0.5  # seconds that a look may be late, or an interval, if that is longer
STACK_WAIT: Final = 0.3  # seconds for a child to write its stacks; it takes one millisecond
STACK_LOOK: Final = 0.01  # seconds between two looks for them


class Home(Protocol):
    """What the watchdog needs of its process; a supervisor's mailbox has it."""

    def monotonic(self) -> float:
        """Seconds since some fixed point."""

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back in ``delay`` seconds."""


class Hung(msgspec.Struct, frozen=True):
    """Why a child counts as hung."""

    why: Literal["handler", "heartbeat"]  # which of the two limits it is beyond
    seconds: float  # that a message is in hand, or that there was no sign of life
    message: str  # type of the message in hand, "" if nobody sent it; heartbeat: "" as well
    is_stopped: bool  # by a signal, or by a debugger: it cannot tell where it is

    @property
    def text(self) -> str:
        """It in words."""
        if self.why == "handler":
            what = self.message or "a message of its own"
            text = f"{what} in hand for {self.seconds:.1f} s"
        else:
            text = f"no sign of life for {self.seconds:.1f} s"
        return f"{text}, its process is stopped" if self.is_stopped else text


class Reports(Protocol):
    """Where it is told."""

    def child_hung(self, child: Child, hung: Hung, stack: str, /) -> None:
        """``child`` hangs, and is killed after this; ``stack`` is "" if it could not say."""


class _Life:
    """What was seen of one life of a child; times by the watchdog's own count."""

    def __init__(self, start: int, signs: Signs, awake: float) -> None:
        self.start = start
        self.signs = signs
        self.alive_at = self.seen_at = awake  # the last progress; the message in hand
        self.head_start = 0.0  # seconds it had been in hand by then

    def renew(self, awake: float) -> None:
        """Everything begins anew, as if seen for the first time."""
        self.alive_at = self.seen_at = awake
        self.head_start = 0.0


class Watchdog:
    """Looks every ``heartbeat_interval`` while there is a child to look at."""

    def __init__(
        self,
        spec: SupervisorSpec,
        children: Mapping[str, Child],
        *,
        home: Home,
        reports: Reports,
    ) -> None:
        """``reports`` hear of a hung child before it is killed."""
        self._children = children
        self._home = home
        self._reports = reports
        self._timer: Timer | None = None
        self._looked_at = 0.0  # monotonic
        self._awake = 0.0  # seconds counted: of one look to the next, an interval at most
        self._lives: dict[str, _Life] = {}
        self.adopt(spec)

    def adopt(self, spec: SupervisorSpec) -> None:
        """Judge by this one from now on."""
        self._interval = spec.heartbeat_interval
        self._timeout = spec.heartbeat_timeout
        # Never more than would make the next look find a child silent for too long.
        stall = max(STALL, self._interval)
        self._stall = min(stall, self._timeout / 2) if self._timeout else stall
        if self._timer is not None:  # the look that is due is not late by another measure
            self._timer.cancel()
            self._look_later()

    def _look_later(self) -> None:
        self._looked_at = self._home.monotonic()
        self._timer = self._home.later(self._interval, self._look)

    def attend(self, child: Child) -> None:
        """``child`` runs: look at it from now on."""
        if self._timer is None and (self._timeout or child.spec.handler_timeout):
            self._look_later()

    def _look(self) -> None:
        now = self._home.monotonic()
        lag = now - self._looked_at - self._interval
        self._awake += self._interval + min(lag, 0.0)
        self._looked_at, self._timer = now, None
        running = [child for child in self._children.values() if child.is_watched]
        if not running:
            self._lives.clear()
            return
        self._timer = self._home.later(self._interval, self._look)
        self._lives = {child.spec.id: self._seen(child, now) for child in running}
        if lag > self._stall:
            self._begin_anew(lag)
            return
        for child in running:
            life = self._lives[child.spec.id]
            hung = self._by_handler(child, life) or self._by_heartbeat(child, life)
            if hung is not None:
                _End(child, hung, self._home, self._reports)

    def _begin_anew(self, lag: float) -> None:
        """This process was stopped or starved: nobody is judged by what it has not seen."""
        logger.warning("this supervisor was held up for {:.1f} s: all deadlines begin anew", lag)
        for life in self._lives.values():
            life.renew(self._awake)
        for child in self._children.values():
            child.renew_deadline()

    def _seen(self, child: Child, now: float) -> _Life:
        """What this look at ``child`` tells, with all those before."""
        signs, awake = child.evidence.signs, self._awake
        life = self._lives.get(child.spec.id)
        if life is None or life.start != child.starts:
            return _Life(child.starts, signs, awake)
        before, life.signs = life.signs, signs
        if signs.taken != before.taken:
            life.alive_at = life.seen_at = awake
            life.head_start = min(max(0.0, now - signs.since), self._interval)
        elif signs.beat != before.beat:
            life.alive_at = awake
        return life

    def _by_handler(self, child: Child, life: _Life) -> Hung | None:
        signs, limit = life.signs, child.spec.handler_timeout
        held = self._awake - life.seen_at + life.head_start
        # What has failed is on its way out, with a deadline of its own for what it still sends.
        if not limit or not signs.since or held < limit or child.failure:
            return None
        message = "" if signs.is_own else signs.last_message
        return Hung("handler", held, message, _is_stopped(child))

    def _by_heartbeat(self, child: Child, life: _Life) -> Hung | None:
        silence = self._awake - life.alive_at
        if not self._timeout or silence < self._timeout:
            return None
        is_stopped = _is_stopped(child)
        # An actor with one thread cannot beat while it works: how long it may is handler_timeout's
        # to say.  But what is stopped does not work.
        beats = life.signs.beats
        if is_stopped or beats == "always" or (beats == "idle" and not life.signs.since):
            return Hung("heartbeat", silence, "", is_stopped)
        return None


class _End:
    """The end of a hung child: its stacks, the report, SIGKILL."""

    def __init__(self, child: Child, hung: Hung, home: Home, reports: Reports) -> None:
        self._child = child
        self._start = child.starts
        self._hung = hung
        self._home = home
        self._reports = reports
        self._before = len(child.evidence.stacks)
        self._seen = ""
        self._until = home.monotonic() + STACK_WAIT
        child.is_watched = False
        if hung.is_stopped:
            self._finish()
        elif child.signal(STACK_SIGNAL):  # else it is dead
            home.later(STACK_LOOK, self._look)

    def _look(self) -> None:
        if self._child.starts != self._start or not self._child.has_process:
            return  # it has ended by itself
        stacks = self._child.evidence.stacks[self._before :]
        is_complete = bool(stacks) and stacks == self._seen
        self._seen = stacks
        if is_complete or self._home.monotonic() >= self._until:
            self._finish()
        else:
            self._home.later(STACK_LOOK, self._look)

    def _finish(self) -> None:
        self._reports.child_hung(self._child, self._hung, self._seen)
        if self._child.state == "running":  # else it is being stopped, in the time it has for that
            self._child.kill("hang")


def _is_stopped(child: Child) -> bool:
    """Whether nothing runs there until somebody lets it: SIGSTOP, or a debugger."""
    stat = None if child.pid is None else process_stat(child.pid)
    return stat is not None and stat.state in "Tt"
