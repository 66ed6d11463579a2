"""What a supervisor is told to run: child specs in OTP's words, checked when they are built.

Plain values: a nested supervisor receives its whole subtree as one of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from holdfast.actors.recorder import Suspect
from holdfast.errors import ConfigError
from holdfast.supervisors.settings import (
    ChildSettings,
    Durability,
    LogLevel,
    Restart,
    SupervisorSettings,
)

__all__ = [
    "EXIT_CONFIG",
    "EXIT_FAILED",
    "EXIT_SHUTDOWN",
    "EXIT_STOPPED",
    "EXIT_TERMINATED",
    "ChildSpec",
    "ChildStart",
    "Environment",
    "SupervisorSpec",
    "zygote_name",
]

# Exit codes of a child, which are its reason: what OTP calls normal, shutdown and an error.
EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 3  # what the config names cannot be used; starting again would not help
EXIT_SHUTDOWN: Final = 5  # it ended on purpose; a supervisor does so when it gives up
EXIT_TERMINATED: Final = 143  # a SIGTERM that nobody but the outside asked for

# One datagram carries the listeners of a whole subtree, and SCM_MAX_FD of the kernel is 253.
MAX_DESCENDANTS: Final = 250
MARGIN: Final = 1.0  # seconds a nested supervisor gets on top of what its children may take


def zygote_name(supervisor: str) -> str:
    """The name of the process that forks a supervisor's children."""
    return f"zygote:{supervisor}"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What all processes of one daemon share; directories are absolute."""

    daemon: str
    data_dir: str
    run_dir: str
    database: str
    durability: Durability = "committed"
    sync_interval: float = 1.0
    log_level: LogLevel = "INFO"
    report_to: str | None = None  # the actor that gets the supervisors' reports as events


class SupervisorSpec(msgspec.Struct, frozen=True, kw_only=True, tag="supervisor"):
    """How a supervisor treats its children; they are in start order."""

    children: tuple[ChildSpec, ...] = ()
    strategy: Literal["one_for_one"] = "one_for_one"
    max_restarts: int = 5
    max_seconds: float = 30.0
    backoff: float = 0.1
    backoff_factor: float = 2.0
    backoff_max: float = 5.0
    backoff_jitter: float = 0.1
    stable_after: float = 10.0

    @classmethod
    def of(cls, settings: SupervisorSettings, children: tuple[ChildSpec, ...]) -> SupervisorSpec:
        """The spec that a config table describes."""
        return cls(
            children=children,
            strategy=settings.strategy,
            max_restarts=settings.max_restarts,
            max_seconds=settings.max_seconds,
            backoff=settings.backoff,
            backoff_factor=settings.backoff_factor,
            backoff_max=settings.backoff_max,
            backoff_jitter=settings.backoff_jitter,
            stable_after=settings.stable_after,
        )

    def __post_init__(self) -> None:
        _require(self.max_restarts >= 0, "max_restarts", self.max_restarts, "a number >= 0")
        _require(self.max_seconds > 0, "max_seconds", self.max_seconds, "seconds > 0")
        _require(self.backoff >= 0, "backoff", self.backoff, "seconds >= 0")
        _require(self.backoff_factor >= 1, "backoff_factor", self.backoff_factor, "a factor >= 1")
        _require(
            self.backoff_max >= self.backoff,
            "backoff_max",
            self.backoff_max,
            f"seconds >= backoff = {self.backoff}",
        )
        jitter = self.backoff_jitter
        _require(0 <= jitter <= 1, "backoff_jitter", jitter, "a fraction, 0 to 1")
        _require(self.stable_after >= 0, "stable_after", self.stable_after, "seconds >= 0")
        seen: set[str] = set()
        for name in self.descendants():
            if name in seen:
                raise ConfigError(f"two children are called {name!r}: give one another name")
            seen.add(name)
        if len(seen) > MAX_DESCENDANTS:
            raise ConfigError(
                f"{len(seen)} children below one supervisor: at most {MAX_DESCENDANTS}; "
                "spread them over several supervisors"
            )

    def descendants(self) -> Iterator[str]:
        """The ids of all children, at every depth."""
        for child in self.children:
            yield child.id
            if isinstance(child.run, SupervisorSpec):
                yield from child.run.descendants()

    def supervisor_of(self, name: str, *, here: str) -> str | None:
        """Whose child ``name`` is, at any depth; ``here`` is what this supervisor is called."""
        for child in self.children:
            if child.id == name:
                return here
            if isinstance(child.run, SupervisorSpec):
                found = child.run.supervisor_of(name, here=child.id)
                if found is not None:
                    return found
        return None

    @property
    def process_names(self) -> frozenset[str]:
        """Those of all processes below, zygotes included."""
        below = list(self.descendants())
        return frozenset((*below, *map(zygote_name, below)))

    @property
    def height(self) -> int:
        """Levels of supervisors, this one included."""
        nested = [child.run for child in self.children if isinstance(child.run, SupervisorSpec)]
        return 1 + max((spec.height for spec in nested), default=0)


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One child: ``run`` says what it is, the rest how it is treated.

    ``shutdown`` are the seconds it has to stop, ``start_timeout`` those to become ready; ``where``
    is the place in the config that errors name.
    """

    id: str
    run: SupervisorSpec | ChildSettings
    restart: Restart = "permanent"
    shutdown: float = 5.0
    start_timeout: float = 30.0
    where: str = ""

    @classmethod
    def supervisor(cls, name: str, spec: SupervisorSpec, *, where: str) -> ChildSpec:
        """A nested supervisor.

        OTP lets it take for ever; here it gets what its children may take one after the other.
        """
        return cls(
            id=name,
            run=spec,
            shutdown=MARGIN + sum(child.shutdown for child in spec.children),
            start_timeout=MARGIN + sum(child.start_timeout for child in spec.children),
            where=where,
        )

    def __post_init__(self) -> None:
        _require(self.shutdown >= 0, f"{self.id}: shutdown", self.shutdown, "seconds >= 0")
        _require(
            self.start_timeout > 0, f"{self.id}: start_timeout", self.start_timeout, "seconds > 0"
        )

    @property
    def is_supervisor(self) -> bool:
        """Whether it has children of its own."""
        return isinstance(self.run, SupervisorSpec)


class ChildStart(msgspec.Struct, frozen=True, array_like=True):
    """What a forked child is told to become.

    ``incarnation`` is unique for ever: the boot counter, then the start number of each supervisor
    on the way and of the child.  ``last_incarnation`` is the one whose flight record comes along;
    ``suspects`` are the messages that earlier lives had in hand when they died.
    """

    name: str
    incarnation: str
    environment: Environment
    run: SupervisorSpec | ChildSettings
    last_incarnation: str = ""
    suspects: tuple[Suspect, ...] = ()


def _require(holds: bool, key: str, value: float, accepted: str) -> None:
    if not holds:
        raise ConfigError(f"{key} = {value}: expected {accepted}")
