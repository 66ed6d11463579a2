"""A test's end of the rig: arms and disarms what a running tree injects, and reads what it did.

Owns the plan file of one tree; whoever else writes it meanwhile loses or is lost.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from holdfast.testing.faults.plan import ENVIRONMENT, Fault, Hit, Injected, PlanFile, Record

__all__ = ["Faults"]


class Faults:
    """The faults of one tree, by the folder or the file of its plan."""

    def __init__(self, plan: Path) -> None:
        self.path = plan.absolute()
        self._plan = PlanFile(self.path)
        self.record = Record(self.path)

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of the tree have to find in theirs."""
        return {ENVIRONMENT: str(self.path)}

    def arm(self, *faults: Fault) -> list[str]:
        """Arm these too, from now on; the ids that the record will name them by."""
        plan = self._plan.read()
        numbered = [
            msgspec.structs.replace(fault, id=f"f{number}")
            for number, fault in enumerate(faults, plan.count + 1)
        ]
        self._plan.write(
            msgspec.structs.replace(
                plan, faults=(*plan.faults, *numbered), count=plan.count + len(numbered)
            )
        )
        return [fault.id for fault in numbered]

    def disarm(self, *ids: str) -> None:
        """Have these injected no more; without ids, all.  What was injected stays so."""
        plan = self._plan.read()
        left = tuple(fault for fault in plan.faults if ids and fault.id not in ids)
        self._plan.write(msgspec.structs.replace(plan, faults=left))

    def record_hits(self, *points: str) -> None:
        """Have the hits of points that match a pattern recorded; without patterns, none."""
        self._plan.write(msgspec.structs.replace(self._plan.read(), hits=points))

    def injected(self, *ids: str) -> list[Injected]:
        """What was injected so far, of these ids or of all, oldest first."""
        return [
            line
            for line in self.record.lines()
            if isinstance(line, Injected) and (not ids or line.fault in ids)
        ]

    def hits(self) -> list[Hit]:
        """The hits that were recorded so far, oldest first."""
        return [line for line in self.record.lines() if isinstance(line, Hit)]
