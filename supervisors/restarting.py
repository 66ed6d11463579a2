"""Who is started again, with whom and when: the restart half of a supervisor.

Owns the course that several children are on; what is decided here is OTP's, the pauses are ours.
Nothing waits; lost with the supervisor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from holdfast.actors.messages.supervisor import LastExit
from holdfast.supervisors.children import Child, is_restarted
from holdfast.supervisors.courses import Course, affected
from holdfast.supervisors.launcher import Launcher
from holdfast.supervisors.orders import Orders
from holdfast.supervisors.restart_limits import RestartLimits
from holdfast.supervisors.roster import Roster
from holdfast.supervisors.spec import SupervisorSpec
from holdfast.supervisors.undertaker import Undertaker
from holdfast.supervisors.watches import Watches

__all__ = ["Decided", "Restarting"]


class Decided(msgspec.Struct, frozen=True):
    """What the supervisor as a whole has to do."""

    all_up: Callable[[], None]  # the children that were on their way are ready
    give_up: Callable[[Child | None, str], None]  # the child, and the limit that it is over
    shut_down: Callable[[Child], None]  # a significant child has ended


class Restarting:
    """Starts children, alone or several in order, and starts again those that failed."""

    def __init__(
        self,
        *,
        spec: SupervisorSpec,
        roster: Roster,
        launcher: Launcher,
        limits: RestartLimits,
        orders: Orders,
        undertaker: Undertaker,
        watches: Watches,
        decided: Decided,
    ) -> None:
        self._spec = spec
        self._roster = roster
        self._launcher = launcher
        self._limits = limits
        self._orders = orders
        self._undertaker = undertaker
        self._watches = watches
        self._decided = decided
        self._course: Course | None = None  # of several children, under way
        self._has_ended = False  # the supervisor stops: nothing is started any more

    def adopt(self, spec: SupervisorSpec) -> None:
        """Decide by this one from now on; a course that is under way goes on."""
        self._spec = spec

    # -- starting -----------------------------------------------------------------------------

    def start_all(self, children: Iterable[Child]) -> None:
        """Start them in order, or at once where the spec says so."""
        self._begin(children, is_parallel=self._spec.start == "parallel")

    def start_again(self, children: Sequence[Child]) -> None:
        """All of them died together, with their zygote; for one_for_one there is no order."""
        is_alone = self._spec.strategy == "one_for_one"
        wanted = [child for child in children if child.spec.restart != "temporary"]
        self._begin(wanted, is_parallel=is_alone or self._spec.start == "parallel")
        for child in children:
            if child not in wanted:
                self.gone(child)

    def proceed(self) -> None:
        """Go on with what several children are in the middle of."""
        if self._course is not None and self._course.proceed():
            self._course = None
            self._decided.all_up()

    def due(self, child: Child) -> None:
        """The pause before its next start is over."""
        if self.awaits(child):
            self.proceed()
        else:
            self._launcher.launch(child)

    def awaits(self, child: Child) -> bool:
        """Whether it is to be started with others."""
        return self._course is not None and self._course.awaits(child)

    def leave(self, child: Child) -> None:
        """It is not to be started with the others that are on their way."""
        if self._course is not None:
            self._course.leave(child)

    def drop(self) -> None:
        """All children are dying, with their zygote: nothing goes on."""
        self._course = None

    def end(self) -> None:
        """All children are stopped: nothing is started any more."""
        self._course = None
        self._has_ended = True

    # -- what a child's end leads to ----------------------------------------------------------

    def is_stopped_by(self, child: Child) -> bool:
        """Whether it is on its way down with others, and its end no failure."""
        return self._course is not None and self._course.goes_down(child)

    def failed(self, child: Child, last_exit: LastExit, now: float) -> None:
        """It ended by itself."""
        was_ready = child.ready_at is not None
        if not is_restarted(child.spec.restart, last_exit, was_ready=was_ready):
            self.gone(child)
            return
        if not child.evidence.is_poison and (why := self._limits.charge(child, now)) is not None:
            self._decided.give_up(child, why)
            return
        delay = child.backoff.delay(lived=child.lived(now))
        if self._spec.strategy == "one_for_one":
            if delay > 0:
                child.wait(delay)
            else:
                self._launcher.launch(child)
            self.proceed()
            return
        children = list(self._roster.children.values())
        down = affected(self._spec.strategy, children, child)
        down = [one for one in down if one.spec.id not in self._roster.held]
        # Who was on the way up still is, and those before this one do not go down for it.
        others = [] if self._course is None else self._course.unfinished
        under_way = [one for one in others if one.state == "starting" and one not in down]
        together = [one for one in children if one in down or one in others]
        self._begin(
            together,
            is_parallel=self._spec.start == "parallel",
            failed=child,
            delay=delay,
            under_way=under_way,
        )

    def stopped(self, child: Child) -> None:
        """It was told to stop, or was about to be: alone, or on the way down with others."""
        is_ordered = self._orders.is_stopping(child)
        if child.spec.restart != "temporary" and not is_ordered and self.awaits(child):
            child.queue()
            self.proceed()
        else:
            self.withdrawn(child)

    def withdrawn(self, child: Child) -> None:
        """It is down and is to stay so, whoever it was that wanted it up."""
        is_kept = child.spec.restart != "temporary" and not self._orders.is_new(child)
        self.leave(child)
        child.cancel()
        self.answer(child)
        if not is_kept:
            self._roster.remove(child, "stopped by its supervisor")
        self.proceed()

    def failed_order(self, child: Child) -> None:
        """Somebody asked for this start: it is told, and nothing is tried again."""
        self.leave(child)
        is_new = self._orders.is_new(child)
        child.cancel()
        self.answer(child)
        if is_new:
            self._roster.discard(child)
        self.proceed()

    def answer(self, child: Child) -> None:
        """Whoever asked for its start or its stop hears what came of it."""
        self._orders.ended(child, self._watches.life_of(child))

    def gone(self, child: Child) -> None:
        """It is not started again: somebody has to answer for it."""
        self.leave(child)
        if child.spec.restart == "temporary":
            self._roster.remove(child)
        else:
            self._undertaker.take_over(child)
        self.answer(child)
        if child.spec.significant and self._is_over:
            self._decided.shut_down(child)
        else:
            self.proceed()

    # -- inside -------------------------------------------------------------------------------

    def _begin(
        self,
        members: Iterable[Child],
        *,
        is_parallel: bool,
        failed: Child | None = None,
        delay: float = 0.0,
        under_way: Collection[Child] = (),
    ) -> None:
        if self._has_ended:  # by the end of a significant child, a moment ago
            return
        for child in members:
            self._undertaker.release(child.spec)  # of one that had ended for good, till now
        self._course = Course(
            members,
            launch=self._launcher.launch,
            is_parallel=is_parallel,
            failed=failed,
            delay=delay,
            under_way=under_way,
        )
        self.proceed()

    @property
    def _is_over(self) -> bool:
        """Whether the significant children that are left do not keep this supervisor."""
        if self._spec.auto_shutdown == "any_significant":
            return True
        return not any(
            child.spec.significant
            and (child.has_process or child.state == "backoff" or self.awaits(child))
            for child in self._roster.children.values()
        )
