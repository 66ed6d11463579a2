"""What a supervisor is told to run: child specs in OTP's words, checked when they are built.

Plain values: a nested supervisor receives its whole subtree as one of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from holdfast.actors.recorder import Suspect
from holdfast.errors import ConfigError
from holdfast.storage.retention_records import Retention
from holdfast.supervisors.settings import (
    AutoShutdown,
    Backend,
    ChildSettings,
    Durability,
    LogLevel,
    Restart,
    Shutdown,
    Start,
    Strategy,
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
    "Terms",
    "stop_budget",
    "zygote_name",
]

# Exit codes of a child, which are its reason: what OTP calls normal, shutdown and an error.
EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 3  # what the config names cannot be used; starting again would not help
EXIT_SHUTDOWN: Final = 5  # it ended on purpose; a supervisor does so when it gives up
EXIT_TERMINATED: Final = 143  # a SIGTERM that nobody but the outside asked for

# One datagram carries the listeners of a whole subtree, and SCM_MAX_FD of the kernel is 253.
MAX_DESCENDANTS: Final = 240
MARGIN: Final = 1.0  # seconds a nested supervisor gets on top of what its children may take


def zygote_name(supervisor: str) -> str:
    """The name of the process that forks a supervisor's children."""
    return f"zygote:{supervisor}"


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What all processes of one daemon share; directories are absolute.

    ``log_dir`` "" is ``log`` in ``data_dir``.
    """

    daemon: str
    data_dir: str
    run_dir: str
    database: str  # the file; of a server, dsn
    backend: Backend = "sqlite"
    dsn: str = ""  # as the config has it: a reference stays one
    outage_timeout: float = 60.0  # seconds that a command waits for the server; 0 = not at all
    durability: Durability = "committed"
    sync_interval: float = 1.0
    payload_bytes: int = 8_192
    retention: Retention = Retention()
    retention_period: float = 60.0
    full_text: bool = False
    log_level: LogLevel = "INFO"
    shutdown: Shutdown | Literal["children"] = "children"  # what the stop of the root may take
    log_dir: str = ""
    log_max_bytes: int = 10_000_000
    log_backups: int = 3
    farewell: float = 0.0  # seconds for a checkpoint before the stop; 0 = none is made
    report_to: str | None = None  # the actor that gets the supervisors' reports as events
    held: tuple[str, ...] = ()  # children that are down and stay so until the database has moved

    @property
    def log_folder(self) -> str:
        """Where the lines of all processes are kept."""
        return self.log_dir or f"{self.data_dir}/log"

    @property
    def stop_within(self) -> float | None:
        """Seconds for the stop of the whole tree; None for what the children may take."""
        match self.shutdown:
            case "children":
                return None
            case "infinity":
                return math.inf
            case "brutal_kill":
                return 0.0
            case seconds:
                return seconds


def stop_budget(shutdowns: Iterable[Shutdown]) -> Shutdown:
    """Seconds for a supervisor whose children may take that long."""
    total = MARGIN
    for shutdown in shutdowns:
        if shutdown == "infinity":
            return "infinity"
        total += 0.0 if isinstance(shutdown, str) else shutdown
    return total


class SupervisorSpec(msgspec.Struct, frozen=True, kw_only=True, tag="supervisor"):
    """How a supervisor treats its children; they are in start order.

    ``max_failed_starts`` lives in a row of one child that ended before ``stable_after`` are one
    too many; 0 never, None 4 x ``max_restarts``.  ``heartbeat_timeout`` 0: no child is ever hung.
    """

    children: tuple[ChildSpec, ...] = ()
    strategy: Strategy = "one_for_one"
    auto_shutdown: AutoShutdown = "never"
    start: Start = "sequential"
    max_restarts: int = 5
    max_seconds: float = 30.0
    max_failed_starts: int | None = None
    backoff: float = 0.1
    backoff_factor: float = 2.0
    backoff_max: float = 5.0
    backoff_jitter: float = 0.1
    stable_after: float = 10.0
    heartbeat_interval: float = 1.0
    heartbeat_timeout: float = 10.0

    @classmethod
    def of(cls, settings: SupervisorSettings, children: tuple[ChildSpec, ...]) -> SupervisorSpec:
        """The spec that a config table describes."""
        shared = {field for field in cls.__struct_fields__ if field in settings.__struct_fields__}
        given = {field: getattr(settings, field) for field in shared}
        if given["max_failed_starts"] == "auto":
            given["max_failed_starts"] = None
        return cls(children=children, **given)

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
        most = self.max_failed_starts
        _require(most is None or most >= 0, "max_failed_starts", most, "a number >= 0")
        interval, timeout = self.heartbeat_interval, self.heartbeat_timeout
        _require(interval > 0, "heartbeat_interval", interval, "seconds > 0")
        _require(
            timeout == 0 or timeout >= 2 * interval,
            "heartbeat_timeout",
            timeout,
            f"0, or at least 2 x heartbeat_interval = {interval}",
        )
        self._check_that_a_crash_loop_ends()
        self._check_children()

    def _check_that_a_crash_loop_ends(self) -> None:
        """Backoff may keep restarts apart for so long that the window never holds too many."""
        if self.max_failed_starts == 0 and self.quickest_loop > self.max_seconds:
            raise ConfigError(
                f"max_restarts = {self.max_restarts} within max_seconds = {self.max_seconds} "
                f"cannot be reached: with this backoff the restarts of a child that always fails "
                f"take {self.quickest_loop:.1f} s, and max_failed_starts = 0 ends them neither; "
                "raise max_seconds, or lower max_restarts or backoff_max"
            )

    @property
    def quickest_loop(self) -> float:
        """Seconds from the first to one restart too many of a child that ends at once.

        Without jitter, which only shortens; the first restart is immediate.
        """
        seconds, wait = 0.0, self.backoff
        for done in range(1, self.max_restarts):
            if wait >= self.backoff_max:
                return seconds + wait * (self.max_restarts - done)
            seconds += wait
            wait = min(self.backoff_max, wait * self.backoff_factor)
        return seconds

    @property
    def failed_starts_limit(self) -> int:
        """Lives in a row without stability that are allowed; 0 any number."""
        return 4 * self.max_restarts if self.max_failed_starts is None else self.max_failed_starts

    def _check_children(self) -> None:
        for child in self.children:
            if child.significant and self.auto_shutdown == "never":
                raise ConfigError(
                    f"{child.where or child.id}: significant = true does nothing where "
                    'auto_shutdown = "never": set that to "any_significant" or "all_significant"'
                )
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

    @property
    def pulse(self) -> float:
        """Seconds between two signs of life of each child; 0: nobody looks for them."""
        return self.heartbeat_interval if self.heartbeat_timeout > 0 else 0.0

    @property
    def stop_budget(self) -> Shutdown:
        """Seconds that the children may take to stop, one after the other, and a second more."""
        return stop_budget(child.shutdown for child in self.children)

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
    def height(self) -> int:
        """Levels of supervisors, this one included."""
        nested = [child.run for child in self.children if isinstance(child.run, SupervisorSpec)]
        return 1 + max((spec.height for spec in nested), default=0)


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One child: ``run`` says what it is, the rest how it is treated.

    ``shutdown`` are the seconds it has to stop, ``start_timeout`` those to become ready; ``where``
    is the place in the config that errors name.  ``takes_childrens_time``: of a supervisor, whose
    ``shutdown`` is that of the children it begins with, and changes with them.
    """

    id: str
    run: SupervisorSpec | ChildSettings
    restart: Restart = "permanent"
    significant: bool = False
    shutdown: Shutdown = 5.0
    start_timeout: float = 30.0
    where: str = ""
    takes_childrens_time: bool = False

    @classmethod
    def supervisor(
        cls,
        name: str,
        spec: SupervisorSpec,
        *,
        where: str,
        restart: Restart = "permanent",
        significant: bool = False,
        shutdown: Shutdown | Literal["children"] = "children",
    ) -> ChildSpec:
        """A nested supervisor.

        OTP lets it take for ever; here it gets what its children may take one after the other.
        """
        return cls(
            id=name,
            run=spec,
            restart=restart,
            significant=significant,
            shutdown=spec.stop_budget if shutdown == "children" else shutdown,
            start_timeout=MARGIN + sum(child.start_timeout for child in spec.children),
            where=where,
            takes_childrens_time=shutdown == "children",
        )

    def __post_init__(self) -> None:
        if not isinstance(self.shutdown, str):
            _require(self.shutdown >= 0, f"{self.id}: shutdown", self.shutdown, "seconds >= 0")
        _require(
            self.start_timeout > 0, f"{self.id}: start_timeout", self.start_timeout, "seconds > 0"
        )
        if self.significant and self.restart == "permanent":
            raise ConfigError(
                f"{self.where or self.id}: significant = true: expected of a transient or "
                "temporary child; a permanent one never ends by itself"
            )

    @property
    def handler_timeout(self) -> float:
        """Seconds that one message may be in hand; 0 any number."""
        return 0.0 if isinstance(self.run, SupervisorSpec) else self.run.handler_timeout

    @property
    def below(self) -> tuple[str, ...]:
        """The ids of all that are below it, if it is a supervisor."""
        return tuple(self.run.descendants()) if isinstance(self.run, SupervisorSpec) else ()

    @property
    def is_supervisor(self) -> bool:
        """Whether it has children of its own."""
        return isinstance(self.run, SupervisorSpec)


class ChildStart(msgspec.Struct, frozen=True, array_like=True):
    """What a forked child is told to become.

    ``incarnation`` is unique for ever: the boot counter, then the start number of each supervisor
    on the way and of the child.  ``last_incarnation`` is the one whose flight record comes along;
    ``suspects`` are the messages that earlier lives had in hand when they died.
    ``heartbeat_interval`` in seconds; 0: nobody looks for signs of life.
    """

    name: str
    incarnation: str
    environment: Environment
    run: SupervisorSpec | ChildSettings
    last_incarnation: str = ""
    suspects: tuple[Suspect, ...] = ()
    heartbeat_interval: float = 0.0


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """What a running child is to be from now on; as in ChildStart."""

    environment: Environment
    run: SupervisorSpec | ChildSettings
    heartbeat_interval: float = 0.0


def _require(holds: bool, key: str, value: float | None, accepted: str) -> None:
    if not holds:
        raise ConfigError(f"{key} = {value}: expected {accepted}")
