"""When a supervisor gives up: OTP's restart intensity, and lives that never became stable.

Lost when the supervisor dies; then its parent's limits count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.clock import Clock
from holdfast.supervisors.children import Child
from holdfast.supervisors.intensity import Backoff, RestartBudget
from holdfast.supervisors.spec import SupervisorSpec

__all__ = ["RestartLimits"]


class RestartLimits:
    """One restart budget for all children, and for each the count of its unstable lives."""

    def __init__(self, spec: SupervisorSpec, *, clock: Clock, random: Callable[[], float]) -> None:
        self._spec = spec
        self._random = random
        self._budget = RestartBudget(
            max_restarts=spec.max_restarts, max_seconds=spec.max_seconds, clock=clock
        )

    def adopt(self, spec: SupervisorSpec, children: Iterable[Child]) -> None:
        """Count by this one from now on; what was counted stays."""
        self._spec = spec
        self._budget.adopt(max_restarts=spec.max_restarts, max_seconds=spec.max_seconds)
        for child in children:
            child.backoff = child.backoff.followed_by(self.backoff())

    def backoff(self) -> Backoff:
        """That of another child."""
        spec = self._spec
        return Backoff(
            initial=spec.backoff,
            factor=spec.backoff_factor,
            maximum=spec.backoff_max,
            jitter=spec.backoff_jitter,
            stable_after=spec.stable_after,
            random=self._random,
        )

    def charge(self, child: Child | None, now: float) -> str | None:
        """Count the restart that is due; None, or the name of the limit that it is over.

        ``child`` is the one that failed, None for the zygote.
        """
        if not self._budget.charge():
            return "max_restart_intensity"
        if child is None:
            return None
        is_stable = child.lived_stably(now, self._spec.stable_after)
        child.unstable = 0 if is_stable else child.unstable + 1
        if 0 < self._spec.failed_starts_limit < child.unstable:
            return "max_failed_starts"
        return None
