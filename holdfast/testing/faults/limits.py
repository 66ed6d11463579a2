"""Low limits: descriptors, address space, the length of files, each a soft limit of the kernel's.

Owns what the limits of this process were before; its forks have them again until they look.
"""

from __future__ import annotations

import resource
from typing import Any, Final

from holdfast.testing.faults.patching import wrap
from holdfast.testing.faults.plan import Injected, Limit, Plan
from holdfast.testing.faults.rig import Rig

__all__ = ["install"]

_WHICH: Final = {
    "NOFILE": resource.RLIMIT_NOFILE,
    "AS": resource.RLIMIT_AS,
    "FSIZE": resource.RLIMIT_FSIZE,
}
# Where the daemon sets limits of its own, which must not undo these.
_OWN: Final = (
    "holdfast.supervisors.child:apply_limits",
    "holdfast.supervisors.child:widen_descriptors",
    "holdfast.supervisors.tree:widen_descriptors",
)


class _Limits:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._before: dict[str, int] = {}  # soft limits that were replaced, by resource
        self._noted: set[tuple[str, str]] = set()  # faults and processes on record

    def hear(self, plan: Plan) -> None:
        wanted: dict[str, Limit] = {}
        for limit in plan.of(Limit, self._rig.process):
            other = wanted.get(limit.resource)
            if other is None or limit.value < other.value:
                wanted[limit.resource] = limit
        for name, which in _WHICH.items():
            soft, hard = resource.getrlimit(which)
            armed = wanted.get(name)
            if armed is not None:
                self._note(armed)
                self._before.setdefault(name, soft)
                soft = armed.value
            elif name in self._before:
                soft = self._before.pop(name)
            resource.setrlimit(which, (soft, hard))
        self._rig.is_limited = bool(self._before)

    def around_own(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The daemon sets limits as if none were armed, then those that are hold again."""
        for name, soft in self._before.items():
            resource.setrlimit(_WHICH[name], (soft, resource.getrlimit(_WHICH[name])[1]))
        self._before.clear()
        try:
            return function(*args, **kwargs)
        finally:
            self.hear(self._rig.look())

    def _note(self, limit: Limit) -> None:
        who = (limit.id, self._rig.process)
        if who not in self._noted:
            self._noted.add(who)
            self._rig.write_down(
                Injected(
                    process=self._rig.process,
                    kind="limit",
                    fault=limit.id,
                    target=limit.resource,
                    detail=str(limit.value),
                )
            )


def install(rig: Rig) -> None:
    """Have this process and its forks take up the limits that are armed for them."""
    limits = _Limits(rig)
    rig.on_change.append(limits.hear)
    for target in _OWN:
        wrap(target, limits.around_own)
