"""The order in which children go down and come up together: OTP's restart strategies.

Nothing here waits or decides to restart; lost with the supervisor, whose children die with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal, assert_never

from holdfast.supervisors.children import Child
from holdfast.supervisors.settings import Strategy

__all__ = ["Course", "affected"]


def affected(strategy: Strategy, children: Sequence[Child], failed: Child) -> list[Child]:
    """Who is restarted along with ``failed``, in start order; it is among them.

    OTP's table: one_for_one itself, one_for_all everybody, rest_for_one those that were started
    after it, too.
    """
    match strategy:
        case "one_for_one":
            return [failed]
        case "one_for_all":
            return list(children)
        case "rest_for_one":
            return list(children[children.index(failed) :])
        case _:
            assert_never(strategy)


class Course:
    """Some children on their way down, the last first, and then up again, the first first.

    With ``delay`` there is a pause before the first start: the backoff of ``failed``, the child
    whose failure it is.  ``is_parallel``: all start at once.  Members ``under_way`` are starting
    already and are let alone.
    """

    def __init__(
        self,
        members: Iterable[Child],
        *,
        launch: Callable[[Child], None],
        is_parallel: bool,
        failed: Child | None = None,
        delay: float = 0.0,
        under_way: Collection[Child] = (),
    ) -> None:
        self.members = list(members)  # in start order
        self.failed = failed
        self._launch = launch
        self._is_parallel = is_parallel
        self._delay = delay
        self._stage: Literal["down", "pause", "up"] = "down"
        # To be started.
        self._pending = [child for child in self.members if child not in under_way]
        # The start that is this one's affair, by child.
        self._started = {child.spec.id: child.starts for child in under_way}

    @property
    def unfinished(self) -> list[Child]:
        """Those that are not up yet."""
        return [one for one in self.members if one in self._pending or self._awaits_ready(one)]

    def awaits(self, child: Child) -> bool:
        """Whether it will be started by this."""
        return child in self._pending

    def goes_down(self, child: Child) -> bool:
        """Whether an end of it now is what this is about to do, or does."""
        return self._stage == "down" and child in self._pending

    def leave(self, child: Child) -> None:
        """It has no part in this any more."""
        for group in (self.members, self._pending):
            if child in group:
                group.remove(child)
        if child is self.failed:
            self.failed = None

    def proceed(self) -> bool:
        """Do what can be done now; True when nothing is left to do."""
        if self._stage == "down":
            if any(child.has_process for child in self._pending):
                self._stop_last()
                return False
            self._stage = "pause"
            for child in self._pending:
                child.queue()
            if self._delay > 0 and self.failed is not None:
                self.failed.wait(self._delay)
                return False
        if self._stage == "pause":
            if self.failed is not None and self.failed.is_waiting:
                return False
            self._stage = "up"
        return self._start()

    def _stop_last(self) -> None:
        last = next(child for child in reversed(self._pending) if child.has_process)
        if last.state != "stopping":
            last.stop()

    def _start(self) -> bool:
        while self._pending:
            if not self._is_parallel and self._is_starting:
                return False
            child = self._pending.pop(0)
            if not child.has_process:
                self._launch(child)
                self._started[child.spec.id] = child.starts
        return not self._is_starting

    @property
    def _is_starting(self) -> bool:
        return any(map(self._awaits_ready, self.members))

    def _awaits_ready(self, child: Child) -> bool:
        """Whether the start that this caused goes on; one that has failed since is no reason."""
        is_ours = self._started.get(child.spec.id) == child.starts
        return is_ours and child.state == "starting"
