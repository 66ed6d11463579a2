"""The shape of the config file: one frozen type per kind of table, with every default.

A field is a key; ``description`` says in an error what the key accepts.  The same values tell a
child process what to be.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.actors.messages.tracker import RateLimit
from holdfast.supervisors.edge_settings import HttpSettings, MetricsSettings, OtelSettings
from holdfast.supervisors.value_kinds import (
    AnswerBytes,
    Clients,
    Count,
    Flag,
    Fraction,
    Limit,
    Most,
    Name,
    Period,
    RequestBytes,
    Seconds,
    ShutdownValue,
    Text,
)

__all__ = [
    "ACTORS",
    "OPTIONAL_ACTORS",
    "ActorSettings",
    "AgentSettings",
    "CheckpointsSettings",
    "ChildSettings",
    "DaemonSettings",
    "Durability",
    "FilesSettings",
    "GatewaySettings",
    "HttpSettings",
    "LogLevel",
    "LogSettings",
    "MetricsSettings",
    "OtelSettings",
    "OutboxPolicy",
    "QuerySettings",
    "Restart",
    "RetentionBounds",
    "RetentionSettings",
    "SessionsSettings",
    "Settings",
    "Shutdown",
    "StorageSettings",
    "Strategy",
    "SupervisorSettings",
    "TrackerSettings",
    "WriterSettings",
]

FAREWELL: Final = 3_600.0  # seconds; where nothing else bounds the end of an agent

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]
Start = Literal["sequential", "parallel"]
# Seconds to stop in; however long it takes; SIGKILL at once.
Shutdown = float | Literal["infinity", "brutal_kill"]
Durability = Literal["committed", "disk"]
Backend = Literal["sqlite", "memory", "postgresql"]
# What moves to another database: all; nothing; nothing, and there has to be nothing.
Migrate = Literal["copy", "empty", "require-empty"]
OutboxPolicy = Literal["block", "fail", "ring_only"]
LogLevel = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]


class DaemonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[daemon]``; the directories are relative to the working directory of ``start``.

    ``log_dir`` is relative to ``data_dir``.  An actor's log takes ``log_max_bytes``, and as much
    for each of its ``log_backups``; 0 bytes any number, and somebody else has to rotate it.
    ``watch``: reload when the config file has changed.
    """

    name: Name = "default"
    data_dir: Text = "var/lib"
    run_dir: Text = "var/run"
    log_level: LogLevel = "INFO"
    watch: Flag = False
    log_dir: Text = "log"
    log_max_bytes: Count = 10_000_000
    log_backups: Annotated[int, Meta(ge=0, le=1_000, description="a number, 0 to 1000")] = 3


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[storage]``; ``path`` is relative to ``data_dir``, and SQLite's; ``dsn`` is PostgreSQL's.

    ``outage``: what a command does while the server is away; "wait" ``outage_timeout`` seconds.
    ``payload_bytes`` of JSON text: more of it in an event is stored apart; 0 is never.
    ``full_text``: an index of the words in the data of events.
    ``migrate``: what becomes of the data when a reload finds another database here.  It is all
    kept back for ``hold_timeout`` seconds at most, then given up.  ``resume_rows``: of changes
    that are kept for the next try of a move that was cut off; 0: it begins anew.
    """

    backend: Backend = "sqlite"
    path: Text = "holdfast.db"
    dsn: Annotated[
        str, Meta(description='a text, "postgresql://user@host/database" or a reference to one')
    ] = ""
    outage: Literal["wait", "fail"] = "wait"
    outage_timeout: Seconds = 60.0
    durability: Durability = "committed"
    sync_interval: Period = 1.0
    payload_bytes: Count = 8_192
    full_text: Flag = False
    migrate: Annotated[Migrate, Meta(description='"copy", "empty" or "require-empty"')] = "copy"
    hold_timeout: Annotated[float, Meta(gt=0, le=60, description="seconds > 0, at most 60")] = 10.0
    resume_rows: Count = 1_000_000


class RetentionBounds(msgspec.Struct, frozen=True, kw_only=True):
    """``[retention.types."GLOB"]``; 0 is no bound.

    ``max_bytes`` is of the events' texts, not of the file.
    """

    max_age: Seconds = 0.0
    max_count: Count = 0
    max_bytes: Count = 0


class RetentionSettings(RetentionBounds, frozen=True, kw_only=True):
    """``[retention]``; what no glob of ``types`` matches is bounded by the table itself.

    ``types`` in their order: the first glob that matches an event's type decides.
    """

    period: Period = 60.0
    ignore_subscribers: Flag = False
    types: Annotated[
        dict[str, RetentionBounds], Meta(description='a table of tables, [retention.types."GLOB"]')
    ] = {}


class SupervisorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[supervisors.NAME]``; the root has no parent, and is no child of anybody.

    ``shutdown`` "children" is what its children may take to stop, one after the other.
    """

    parent: Name = "root"
    restart: Restart = "permanent"
    significant: Flag = False
    shutdown: Annotated[
        Annotated[float, Meta(ge=0)] | Literal["infinity", "brutal_kill", "children"],
        Meta(description='seconds >= 0, "infinity", "brutal_kill" or "children"'),
    ] = "children"
    strategy: Strategy = "one_for_one"
    auto_shutdown: AutoShutdown = "never"
    start: Start = "sequential"
    max_restarts: Count = 5
    max_seconds: Period = 30.0
    max_failed_starts: Annotated[
        Annotated[int, Meta(ge=0, le=2**53)] | Literal["auto"],
        Meta(description='a whole number >= 0, or "auto"'),
    ] = "auto"
    backoff: Seconds = 0.1
    backoff_factor: Annotated[float, Meta(ge=1, description="a factor >= 1")] = 2.0
    backoff_max: Seconds = 5.0
    backoff_jitter: Annotated[float, Meta(ge=0, le=1, description="a fraction, 0 to 1")] = 0.1
    stable_after: Seconds = 10.0
    heartbeat_interval: Period = 1.0
    heartbeat_timeout: Seconds = 10.0


class ActorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every child that is no supervisor has.

    ``handler_timeout`` in seconds; ``memory_max`` bytes of address space, ``nofile`` descriptors;
    0 is none of the three.  ``nice`` is added to the daemon's own.
    """

    parent: Name = "state"
    restart: Restart = "permanent"
    significant: Flag = False
    shutdown: ShutdownValue = 5.0
    start_timeout: Period = 30.0
    handler_timeout: Seconds = 60.0
    memory_max: Count = 0
    nofile: Count = 0
    nice: Annotated[int, Meta(ge=0, le=19, description="a whole number, 0 to 19")] = 0
    mailbox_limit: Limit = 10_000

    @property
    def farewell(self) -> float:
        """Seconds that the end may take until what was sent is acknowledged."""
        return FAREWELL if isinstance(self.shutdown, str) else self.shutdown


class WriterSettings(ActorSettings, frozen=True, kw_only=True, tag="writer"):
    """``[actors.writer]``; what it writes to is in ``[storage]``."""

    handler_timeout: Seconds = 120.0  # an fsync of a slow disk is no hang


class QuerySettings(ActorSettings, frozen=True, kw_only=True, tag="query"):
    """``[actors.query]``; a statement that takes longer than ``statement_timeout`` is ended."""

    statement_timeout: Seconds = 30.0


class LogSettings(ActorSettings, frozen=True, kw_only=True, tag="log"):
    """``[actors.log]``; ``capacity`` in events.

    The others in events that wait for the writer, 0 for never; ``docs/OVERLOAD.md``.
    """

    capacity: Limit = 10_000
    sync_at: Count = 0
    drop_at: Count = 0
    flush_at: Count = 0


class SessionsSettings(ActorSettings, frozen=True, kw_only=True, tag="sessions"):
    """``[actors.sessions]``; ``maxsize`` in sessions, ``max_bytes`` of memory.

    ``url`` is where ``backend`` "redis" is, ``redis_timeout`` seconds for each wait for it.
    ``ttl_jitter`` is the fraction of a ttl that may be taken off.  ``store_...`` bound what the
    database holds, 0 is any.  ``cache_...`` are of the other cache, of metadata.
    """

    backend: Annotated[Literal["memory", "redis"], Meta(description='"memory" or "redis"')] = (
        "memory"
    )
    url: Text = "redis://127.0.0.1:6379/0"
    redis_timeout: Annotated[float, Meta(gt=0, le=10, description="seconds > 0, at most 10")] = 0.5
    ttl: Period = 7200.0
    ttl_jitter: Fraction = 0.0
    maxsize: Limit = 100_000
    max_bytes: Limit = 256 * 1024 * 1024
    store_max_sessions: Count = 0
    store_max_bytes: Count = 0
    cache_ttl: Period = 1800.0
    cache_maxsize: Limit = 10_000
    cache_max_bytes: Limit = 64 * 1024 * 1024
    cache_refresh_ahead: Fraction = 0.1


class CheckpointsSettings(ActorSettings, frozen=True, kw_only=True, tag="checkpoints"):
    """``[actors.checkpoints]``; what concerns checkpoints of the daemon as a whole.

    One every ``interval`` seconds, 0 for none, and one before the daemon stops, if ``on_stop``.
    A participant that takes longer than ``collect_timeout`` seconds is missing in it.  ``keep``
    newest ones stay, and those that are pinned; 0 for all.
    """

    interval: Seconds = 0.0
    on_stop: Flag = True
    collect_timeout: Period = 5.0
    keep: Count = 10


class FilesSettings(ActorSettings, frozen=True, kw_only=True, tag="files"):
    """``[actors.files]``; ``path`` is relative to ``data_dir``.

    ``max_bytes`` of all files together; a session's file is rotated at ``rotate_bytes``, and with
    ``rotate_daily`` on the next UTC day.
    """

    path: Text = "files"
    max_bytes: Annotated[int, Meta(ge=2**20, le=2**53, description="a number >= 1048576")] = 2**30
    rotate_bytes: Annotated[
        int, Meta(ge=4096, le=256 * 1024 * 1024, description="a number, 4096 to 268435456")
    ] = 8 * 1024 * 1024
    rotate_daily: Flag = True
    open_files: Annotated[int, Meta(ge=1, le=4096, description="a number, 1 to 4096")] = 64


class TrackerSettings(ActorSettings, frozen=True, kw_only=True, tag="tracker"):
    """``[actors.tracker]``; ``max_bytes`` of the texts of requests, ``keep`` in seconds.

    The state has to fit in one message, when a checkpoint asks for it.
    """

    max_requests: Most = 10_000
    max_bytes: Annotated[
        int, Meta(ge=4096, le=6 * 1024 * 1024, description="a number, 4096 to 6291456")
    ] = 4 * 1024 * 1024
    keep: Seconds = 300.0
    max_kept: Count = 1_000
    max_limiters: Most = 10_000
    max_waiting: Count = 1_000
    limits: Annotated[
        dict[str, RateLimit],
        Meta(
            description='a table of rate limits: { kind = "token_bucket", rate = 10.0, burst = 20 '
            '} or { kind = "sliding_window", limit = 100, period = 60.0 }'
        ),
    ] = {}


class GatewaySettings(ActorSettings, frozen=True, kw_only=True, tag="gateway"):
    """``[actors.gateway]``; there is one when ``enabled`` says so.

    ``max_line`` and ``max_answer`` are in bytes; ``timeout`` in seconds for who names none, and
    ``grace`` for a client that does not read.
    """

    enabled: Flag = False
    parent: Name = "agents"
    max_clients: Clients = 256
    max_line: RequestBytes = 2 * 1024 * 1024
    max_answer: AnswerBytes = 32 * 1024 * 1024
    timeout: Period = 30.0
    grace: Period = 10.0


class AgentSettings(ActorSettings, frozen=True, kw_only=True, tag="agent"):
    """``[agents.NAME]``; ``options`` are the keyword arguments of the class.

    ``outbox_...``: what its hub, and its own references, may have under way to each actor, and what
    happens beyond that.  At ``listen`` its supervisor listens, and goes on while it restarts: the
    class gets that socket as ``listener``, None while another program has the address.
    """

    target: Annotated[
        str,
        Meta(
            pattern=r"\A[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*\Z",
            description='"module:Class"',
        ),
    ] = msgspec.field(name="class")
    parent: Name = "agents"
    python_path: Annotated[
        tuple[Text, ...], Meta(description="a list of directories, relative to the working one")
    ] = (".",)
    options: Annotated[
        dict[str, object],
        Meta(description="a table of texts, numbers, booleans, lists and tables"),
    ] = {}
    env: Annotated[dict[str, str], Meta(description="a table of texts")] = {}
    listen: Annotated[
        str,
        Meta(pattern=r"\A((\[[0-9A-Fa-f:.]+\]|[0-9.]+):[0-9]{1,5})?\Z", description='an "IP:PORT"'),
    ] = ""
    outbox_messages: Limit = 100_000
    outbox_bytes: Limit = 64 * 1024 * 1024
    outbox_policy: OutboxPolicy = "block"
    outbox_timeout: Seconds = 30.0
    handler_timeout: Seconds = 0.0


ChildSettings = (
    WriterSettings
    | QuerySettings
    | LogSettings
    | SessionsSettings
    | CheckpointsSettings
    | FilesSettings
    | TrackerSettings
    | GatewaySettings
    | AgentSettings
)

# In start order: the writer makes the file that the others read.
ACTORS: Final[dict[str, type[ActorSettings]]] = {
    "writer": WriterSettings,
    "query": QuerySettings,
    "log": LogSettings,
    "sessions": SessionsSettings,
    "checkpoints": CheckpointsSettings,
    "files": FilesSettings,
    "tracker": TrackerSettings,
}
# There where the config says ``enabled``.
OPTIONAL_ACTORS: Final[dict[str, type[GatewaySettings]]] = {"gateway": GatewaySettings}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A whole config file, checked; ``file`` is what its errors call it.

    Actors and supervisors that the file does not name are there with their defaults, and of the
    optional ones those that are enabled.  The order
    of ``supervisors``, ``actors`` and ``agents`` is the start order among siblings.
    """

    file: str
    daemon: DaemonSettings
    storage: StorageSettings
    retention: RetentionSettings
    supervisors: dict[str, SupervisorSettings]
    actors: dict[str, ActorSettings]
    agents: dict[str, AgentSettings]
    metrics: MetricsSettings = MetricsSettings()
    otel: OtelSettings = OtelSettings()
    http: HttpSettings = HttpSettings()
