"""What the root is asked and answers about its config file."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ACTIONS", "Action", "KeyChange", "PlanLine", "Reload", "Reloaded"]

Action = Literal["unchanged", "in place", "restart", "swap", "add", "remove"]

ACTIONS: tuple[Action, ...] = ("unchanged", "in place", "restart", "swap", "add", "remove")


class Reload(msgspec.Struct, frozen=True, array_like=True, tag="reload"):
    """Read the config file again, and be what it says; with ``dry_run`` only say what that means.

    Reply: Reloaded; ConfigError, and ReloadError: then all is as it was.
    """

    dry_run: bool = False


class KeyChange(msgspec.Struct, frozen=True):
    """A key with other values, as TOML has them; "" is none, and what may be secret is "..."."""

    key: str
    old: str
    new: str


class PlanLine(msgspec.Struct, frozen=True):
    """What a reload does to one part of the tree.

    "in place" without another life, "restart" by another life, "swap" by another life that keeps
    its state elsewhere.
    """

    kind: Literal["daemon", "database", "supervisor", "actor", "agent"]
    name: str
    action: Action
    changes: list[KeyChange] = []


class Reloaded(msgspec.Struct, frozen=True, array_like=True, tag="reloaded"):
    """The plan; it is carried out if ``is_applied``, in so many ``seconds``.

    ``refusals`` are the changes that no reload makes, each with what to do.  ``notes``: of a swap
    that was cut off before, whether this goes on with it.
    """

    config: str
    lines: list[PlanLine]
    refusals: list[str]
    is_applied: bool
    seconds: float
    notes: list[str] = []

    @property
    def counts(self) -> dict[Action, int]:
        """How many lines there are of each action."""
        return {action: sum(line.action == action for line in self.lines) for action in ACTIONS}
