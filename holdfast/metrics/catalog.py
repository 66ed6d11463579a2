"""The metrics by name: what each is, and where in a reading it stands.  docs/METRICS.md lists them.

Counts are those of one life of an actor: they begin at 0 when it restarts, as Prometheus expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Final, NamedTuple, get_args

from holdfast.actors.messages.swap import SwapPhase
from holdfast.metrics.reading import PARTS, Reading, walk

__all__ = ["ACTOR", "FAMILIES", "Family"]

ACTOR: Final = ("actor",)
STATES: Final = ("starting", "running", "backoff", "stopping", "stopped", "exited", "fatal")
MODES: Final = ("async", "sync", "drop", "flush")
PHASES: Final[tuple[SwapPhase, ...]] = get_args(SwapPhase)

# The values of the labels, and a number.
Samples = Iterable[tuple[tuple[str, ...], float]]


class Family(NamedTuple):
    """``kind`` "counter" has ``_total`` behind its name, as Prometheus wants it."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]
    read: Callable[[Reading], Samples]


def _actor(name: str, kind: str, text: str, path: str) -> Family:
    """A figure of each process, an attribute of its status."""
    value = attrgetter(path)

    def read(reading: Reading) -> Samples:
        return [((child.id,), value(child)) for child in walk(reading.tree)]

    return Family(f"actor_{name}", kind, text, ACTOR, read)


def _one(name: str, kind: str, text: str, path: str) -> Family:
    """An attribute of what one part answered; nothing at all when it did not."""
    part, _, attribute = path.partition(".")
    value = attrgetter(attribute)

    def read(reading: Reading) -> Samples:
        answer = getattr(reading, part)
        return [] if answer is None else [((), value(answer))]

    return Family(name, kind, text, (), read)


def _states(reading: Reading) -> Samples:
    return [
        ((child.id, state), float(child.state == state))
        for child in walk(reading.tree)
        for state in STATES
    ]


def _last_exits(reading: Reading) -> Samples:
    return [
        ((child.id, child.last_exit.kind), child.last_exit.at)
        for child in walk(reading.tree)
        if child.last_exit is not None
    ]


def _modes(reading: Reading) -> Samples:
    log = reading.log
    return [] if log is None else [((mode,), float(log.mode == mode)) for mode in MODES]


def _front(reading: Reading) -> Samples:
    stats = reading.sessions
    if stats is None or not stats.front:
        return []
    return [((stats.front,), float(not stats.front_problem))]


def _answers(reading: Reading) -> Samples:
    fields = {"query": "sizes"}
    return [
        ((part,), float(getattr(reading, fields.get(part, part)) is not None)) for part in PARTS
    ]


def _phases(reading: Reading) -> Samples:
    swap = reading.swap
    return [] if swap is None else [((phase,), float(swap.phase == phase)) for phase in PHASES]


def _info(reading: Reading) -> Samples:
    tree = reading.tree
    return [] if tree is None else [((tree.name, tree.version, tree.sqlite_version), 1.0)]


def _letters(reading: Reading) -> Samples:
    return [
        ((gone.id,), gone.letters + gone.waiting)
        for child in walk(reading.tree)
        for gone in child.gone
    ]


FAMILIES: Final = (
    Family("info", "gauge", "Who is asked: 1.", ("daemon", "version", "sqlite_version"), _info),
    _one("uptime_seconds", "gauge", "Since the daemon began.", "tree.uptime"),
    Family("answers", "gauge", "Whether it answered this scrape.", ("part",), _answers),
    Family("scrape_seconds", "gauge", "What asking took.", (), lambda r: [((), r.seconds)]),
    # Each process of the tree.
    Family("actor_state", "gauge", "1 for the state that it is in.", ("actor", "state"), _states),
    _actor("restarts", "counter", "Restarts.", "restarts"),
    Family(
        "actor_last_exit_timestamp_seconds",
        "gauge",
        "When its last life ended.",
        ("actor", "kind"),
        _last_exits,
    ),
    _actor("uptime_seconds", "gauge", "Since it was ready.", "uptime"),
    _actor("resident_bytes", "gauge", "Its memory.", "rss"),
    _actor("cpu_seconds", "counter", "Processor time.", "cpu"),
    _actor("mailbox_messages", "gauge", "Messages that wait.", "mailbox"),
    _actor("handled", "counter", "Messages handled.", "handled"),
    _actor("handled_per_second", "gauge", "The rate of the last second or two.", "rate"),
    _actor("busy_seconds", "gauge", "The message in hand has been so long.", "busy"),
    _actor("senders", "gauge", "Connections to it.", "traffic.senders"),
    _actor("outbox_messages", "gauge", "Sent and not acknowledged.", "traffic.pending"),
    _actor("late_replies", "counter", "Came after the timeout.", "traffic.late_replies"),
    _actor("late_answers", "counter", "Found nobody any more.", "traffic.late_answers"),
    _actor("rejected", "counter", "Found no room and were not sent.", "traffic.rejected"),
    _actor(
        "dropped",
        "counter",
        "Sent and not handled: rows of dropped, dead letters.",
        "traffic.dropped",
    ),
    _actor("copied_connections", "counter", "Brought what had come already.", "traffic.copies"),
    Family(
        "gone_dead_letters", "gauge", "Tells to an actor that is gone for good.", ACTOR, _letters
    ),
    # Events.
    _one("ring_events", "gauge", "In memory.", "log.ring"),
    _one("ring_capacity_events", "gauge", "What the ring holds.", "log.capacity"),
    _one("log_pending_events", "gauge", "Wait for their commit.", "log.pending"),
    _one("log_load_events", "gauge", "All that senders wait for.", "log.load"),
    _one(
        "log_dropped_events", "counter", "Not kept, on purpose (docs/OVERLOAD.md).", "log.dropped"
    ),
    Family("log_mode", "gauge", "1 for how events are taken in.", ("mode",), _modes),
    _one("log_subscribers", "gauge", "Subscribers that wait for events.", "log.fetches"),
    _one("log_damaged_reads", "counter", "Rows that cannot be read.", "log.damaged"),
    _one("last_seq", "gauge", "The newest number of an event.", "log.last_seq"),
    # The database.
    _one("writer_commits", "counter", "Transactions.", "writer.groups"),
    _one("writer_commands", "counter", "Commands in them.", "writer.commands"),
    _one("wal_frames", "gauge", "Pages in the write-ahead log.", "writer.wal_frames"),
    _one(
        "wal_blocked_checkpoints",
        "gauge",
        "Attempts in a row to empty it that a reader blocked.",
        "writer.wal_stuck",
    ),
    _one(
        "database_outage_seconds",
        "gauge",
        "The database's server has not answered for so long.",
        "writer.outage_seconds",
    ),
    _one("database_bytes", "gauge", "The database.", "sizes.sizes.file"),
    _one("database_free_bytes", "gauge", "Unused in it.", "sizes.sizes.free"),
    _one("database_wal_bytes", "gauge", "The write-ahead log.", "sizes.sizes.wal"),
    _one("database_events", "gauge", "Events stored.", "sizes.sizes.events"),
    _one(
        "database_deleted_events",
        "gauge",
        "Events that retention has deleted.",
        "sizes.sizes.deleted",
    ),
    _one("disk_free_bytes", "gauge", "What can be written there.", "sizes.sizes.disk_free"),
    # A move of the data to another backend, while it is under way.
    Family("swap_phase", "gauge", "1 for how far it has come.", ("phase",), _phases),
    _one("swap_rows", "gauge", "At the target.", "swap.rows"),
    _one("swap_total_rows", "gauge", "To be moved.", "swap.total"),
    _one("swap_behind_rows", "gauge", "Changed since, and not there yet.", "swap.behind"),
    _one("swap_seconds", "gauge", "Since it began.", "swap.seconds"),
    # Sessions.
    _one("sessions_cached", "gauge", "In memory.", "sessions.cached"),
    _one("sessions_cached_bytes", "gauge", "What they take.", "sessions.bytes"),
    _one(
        "sessions_unwritten", "gauge", "Changes on their way to the database.", "sessions.unwritten"
    ),
    _one("sessions_stored", "gauge", "In the database.", "sessions.stored"),
    _one("sessions_stored_bytes", "gauge", "What they take there.", "sessions.stored_bytes"),
    _one("sessions_hits", "counter", "Asked for and in memory.", "sessions.reads.hits"),
    _one(
        "sessions_misses",
        "counter",
        "Asked for and not in memory, or not there.",
        "sessions.reads.misses",
    ),
    _one("sessions_loads", "gauge", "Being made.", "sessions.loads"),
    _one("sessions_waiting", "gauge", "Callers that wait for one.", "sessions.waiting"),
    _one("sessions_damaged_reads", "counter", "Cannot be read.", "sessions.damaged"),
    Family(
        "sessions_front_answers",
        "gauge",
        "Whether what stands in front of the database is there.",
        ("kind",),
        _front,
    ),
    _one(
        "sessions_front_failures",
        "counter",
        "How often it was lost or not reached.",
        "sessions.front_failures",
    ),
    # The HTTP door, where there is one.
    _one("http_clients", "gauge", "Connections to the HTTP door.", "http.clients"),
    _one("http_streams", "gauge", "Streams of events over it.", "http.streams"),
    _one("http_requests", "counter", "Requests over it.", "http.requests"),
    _one("http_errors", "counter", "Of these, refused or failed.", "http.errors"),
    _one("http_denied_requests", "counter", "Of those, with a wrong token.", "http.denied"),
    _one("http_pushed_events", "counter", "Events sent over streams.", "http.pushed"),
    _one("http_refused_clients", "counter", "Connections that were too many.", "http.refused"),
    _one("http_slow_clients", "counter", "Cut off because they did not read.", "http.slow"),
    _one("http_late_clients", "counter", "Cut off in the middle of a request.", "http.late"),
    _one("cache_entries", "gauge", "In the other cache.", "sessions.cache_entries"),
    _one("cache_bytes", "gauge", "What they take.", "sessions.cache_bytes"),
    _one("cache_hits", "counter", "Asked for and there.", "sessions.reads.cache_hits"),
    _one("cache_misses", "counter", "Asked for and not there.", "sessions.reads.cache_misses"),
    # The export to OpenTelemetry.
    _one("otel_logs", "counter", "Log records that the collector has.", "otel.logs"),
    _one("otel_spans", "counter", "Spans that the collector has.", "otel.spans"),
    _one("otel_requests", "counter", "Sent to it.", "otel.requests"),
    _one("otel_failures", "counter", 'Not answered, or by "later".', "otel.failures"),
    _one("otel_rejected", "counter", "Records that it took and did not keep.", "otel.rejected"),
    _one("otel_pruned_events", "counter", "Deleted before they were exported.", "otel.pruned"),
    _one("otel_given_up_events", "counter", "Given up, since too many waited.", "otel.given_up"),
    _one("otel_refused_events", "counter", "Refused by the collector, each alone.", "otel.refused"),
    _one("otel_behind_events", "gauge", "Committed and not exported.", "otel.behind"),
    _one("otel_away", "gauge", "1 while the collector does not take them.", "otel.away"),
)
