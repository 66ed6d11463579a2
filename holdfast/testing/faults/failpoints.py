"""The failpoints: places in the daemon where something can be made to happen, by name.

Each is a function of the daemon and a side of it.  ``after`` means that it returned; what raises
or never returns has no such point.  A test checks that each exists and is passed by a real tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from holdfast.testing.faults.patching import wrap
from holdfast.testing.faults.rig import Rig

__all__ = ["POINTS", "Point", "install"]


class Point(NamedTuple):
    """A named place; ``target`` as patching.py has it."""

    name: str
    target: str
    side: Literal["before", "after"]


_ACTORS: Final = "holdfast.actors."
_STORAGE: Final = "holdfast.storage."
_SUPERVISORS: Final = "holdfast.supervisors."
_DATABASE: Final = _STORAGE + "sqlite:SqliteDatabase."
_MARKS: Final = _STORAGE + "marks:Marks."
_SCHEMA: Final = _STORAGE + "sqlite_schema:"
_WRITER: Final = _ACTORS + "writer:"
_LOG: Final = _ACTORS + "log:LogActor."
_REFILLING: Final = _ACTORS + "refilling:Refilling."
_RING: Final = _ACTORS + "ring:Ring."
_OUTBOX: Final = _ACTORS + "outbox:Outbox."
_LINK: Final = _ACTORS + "link:Link."
_BARRIERS: Final = _ACTORS + "barriers:Barriers."
_PARTS: Final = _STORAGE + "sqlite_parts:PartTable."
_WRITING: Final = _ACTORS + "session_writing:SessionWriting."
_RETAINING: Final = _ACTORS + "retaining:Retaining."
_LOGS: Final = _STORAGE + "response_logs:ResponseLogs."
_HOST: Final = _ACTORS + "host:HostedActor."
_AGENT: Final = _ACTORS + "agent:Agent."
_MAILBOX: Final = _ACTORS + "mailbox:Mailbox."
_LAUNCHER: Final = _SUPERVISORS + "launcher:Launcher."
_RESTARTING: Final = _SUPERVISORS + "restarting:Restarting."
_SWAPPING: Final = _SUPERVISORS + "swapping:"
_MIGRATING: Final = _STORAGE + "migrating."
_MIGRATION: Final = _STORAGE + "migrating.migration:Migration."
_ZYGOTE: Final = _SUPERVISORS + "zygote:"

POINTS: Final = (
    # -- writer: from the database that is opened to the answer that is on its way
    Point("writer.after_lock", _STORAGE + "sqlite_lock:WriterLock._acquire", "after"),
    Point("writer.before_epoch", _DATABASE + "_raise_epoch", "before"),
    Point("writer.after_epoch", _DATABASE + "_raise_epoch", "after"),
    Point("writer.before_begin", _DATABASE + "_transact", "before"),
    Point("writer.after_begin", _DATABASE + "_check_epoch", "before"),
    Point("writer.before_mark", _MARKS + "move", "before"),
    Point("writer.after_mark", _MARKS + "move", "after"),
    Point("writer.before_commit", _MARKS + "flush", "after"),  # all of it is written
    Point("writer.after_commit", _DATABASE + "_transact", "after"),
    Point("writer.before_answer", _WRITER + "_reply", "before"),
    Point("writer.after_answer", _WRITER + "_reply", "after"),
    Point("writer.after_group", _WRITER + "WriterActor._commit", "after"),
    Point("writer.before_first_sync", _DATABASE + "sync", "before"),
    Point("writer.after_first_sync", _DATABASE + "sync", "after"),
    Point("writer.before_sync", _STORAGE + "log_sync:LogSync.__call__", "before"),
    Point("writer.after_sync", _STORAGE + "log_sync:LogSync.__call__", "after"),
    Point("writer.before_emptying", _STORAGE + "sqlite_wal:WalKeeper.empty", "before"),
    Point("writer.before_result", _MARKS + "keep", "before"),  # of a command
    Point("writer.after_result", _MARKS + "keep", "after"),
    # -- log
    Point("log.before_accepting", _LOG + "_accept", "before"),
    Point("log.before_forwarding", _LOG + "_pass_on", "before"),
    Point("log.after_forwarding", _LOG + "_pass_on", "after"),
    Point("log.before_ring", _RING + "append", "before"),
    Point("log.after_ring", _RING + "append", "after"),  # its sender does not know yet
    Point("log.after_answer", _LOG + "_committed", "after"),
    Point("log.before_refill", _REFILLING + "begin", "before"),
    Point("log.between_refills", _REFILLING + "go_on", "before"),
    # -- links: the sender's side of every conversation between processes of the tree
    Point("link.before_sending", _LINK + "outgoing", "before"),
    Point("link.after_welcome", _LINK + "_welcomed", "after"),
    Point("link.before_mark", _OUTBOX + "trim", "before"),  # an acknowledgement came
    Point("link.after_mark", _OUTBOX + "trim", "after"),
    Point("link.before_result", _OUTBOX + "finish", "before"),  # the answer to a command came
    # -- mailboxes: every process with an actor, supervisors included
    Point("mailbox.before_waiting", _MAILBOX + "_look", "before"),
    Point("mailbox.before_sending", _MAILBOX + "_flush", "before"),
    Point("mailbox.after_sending", _MAILBOX + "_flush", "after"),
    Point("actor.before_handling", _HOST + "_handle_receive", "before"),
    Point("actor.after_handling", _HOST + "_handle_receive", "after"),
    Point("agent.before_handling", _AGENT + "_handle_receive", "before"),
    Point("agent.after_handling", _AGENT + "_handle_receive", "after"),
    # -- checkpoints
    Point("checkpoints.before_collecting", _BARRIERS + "collect", "before"),
    Point("checkpoints.before_part", _BARRIERS + "answered", "before"),
    Point("checkpoints.after_part", _BARRIERS + "answered", "after"),
    Point("checkpoints.before_manifest", _BARRIERS + "_send", "before"),
    Point("checkpoints.before_answer", _BARRIERS + "committed", "before"),
    Point("checkpoints.before_parts", _PARTS + "add", "before"),  # in the writer, from here on
    Point("checkpoints.after_parts", _PARTS + "add", "after"),  # the row that names them is not
    # -- sessions
    Point("sessions.after_end", _ACTORS + "session_book:SessionBook.end", "after"),  # not told yet
    Point("sessions.before_writing", _WRITING + "write", "before"),
    Point("sessions.after_writing", _WRITING + "write", "after"),
    Point("sessions.before_written", _WRITING + "written", "before"),  # committed
    Point("sessions.after_written", _WRITING + "written", "after"),
    # -- retention
    Point("retention.before_slice", _DATABASE + "retain", "before"),
    Point("retention.after_slice", _DATABASE + "retain", "after"),  # the log is not told yet
    Point("retention.between_slices", _RETAINING + "_call", "before"),
    # -- migration
    Point("migration.before_step", _SCHEMA + "_take_step", "before"),
    Point("migration.in_step", _SCHEMA + "_number_step", "before"),
    Point("migration.after_step", _SCHEMA + "_take_step", "after"),
    # -- files
    Point("files.before_appending", _LOGS + "append", "before"),
    Point("files.after_appending", _LOGS + "append", "after"),
    # -- supervisors
    Point("supervisor.before_fork", _LAUNCHER + "launch", "before"),
    Point("supervisor.after_fork", _LAUNCHER + "launch", "after"),  # it is asked for
    Point("supervisor.before_registering", _LAUNCHER + "forked", "before"),
    Point("supervisor.after_registering", _LAUNCHER + "forked", "after"),
    Point("supervisor.before_restart", _RESTARTING + "failed", "before"),
    Point("supervisor.after_restart", _RESTARTING + "failed", "after"),
    Point("supervisor.before_ready", _SUPERVISORS + "supervision:Supervision._ready", "before"),
    Point("supervisor.between_stops", _SUPERVISORS + "ending:Ending.proceed", "before"),
    Point("root.before_boot", _SUPERVISORS + "tree:next_boot", "before"),
    Point("root.after_boot", _SUPERVISORS + "tree:next_boot", "after"),
    # -- a swap of the database: the root's side, and that of the copier (process "/copier")
    Point("swap.before_phase", _SWAPPING + "Swapping._enter", "before"),
    Point("swap.after_phase", _SWAPPING + "Swapping._enter", "after"),
    Point("swap.before_commit_point", _SWAPPING + "write_point", "before"),
    Point("swap.after_commit_point", _SWAPPING + "write_point", "after"),
    Point("swap.before_hold", _SUPERVISORS + "holding:Holding.hold", "before"),
    Point("swap.before_release", _SUPERVISORS + "holding:Holding.release", "before"),
    Point("swap.before_history", _SWAPPING + "Swapping._tell", "before"),
    Point("swap.after_history", _SWAPPING + "Swapping._tell", "after"),
    Point("copier.before_preparing", _MIGRATION + "prepare", "before"),
    Point("copier.after_preparing", _MIGRATION + "prepare", "after"),
    Point("copier.after_copying", _MIGRATION + "copy", "after"),
    Point("copier.before_range", _MIGRATING + "writing:Writing.append", "before"),
    Point("copier.in_range", _MIGRATING + "standing:Standing.encode", "before"),  # not committed
    Point("copier.after_range", _MIGRATING + "writing:Writing.append", "after"),
    Point("copier.before_following", _MIGRATION + "follow", "before"),
    Point("copier.after_following", _MIGRATION + "follow", "after"),
    Point("copier.before_finishing", _MIGRATION + "finish", "before"),
    Point("copier.after_finishing", _MIGRATION + "finish", "after"),
    Point("copier.before_retiring", _MIGRATION + "commit", "before"),
    Point("copier.after_retiring", _MIGRATION + "commit", "after"),
    Point("copier.before_verifying", _MIGRATION + "verify_old", "before"),
    # -- zygotes, and what they fork
    Point("zygote.before_fork", _ZYGOTE + "_take", "before"),
    Point("zygote.after_fork", _ZYGOTE + "_lead_a_group", "before"),  # in the child as well
    Point("child.before_pdeathsig", _ZYGOTE + "_become_child", "before"),
    Point("child.before_start", _SUPERVISORS + "child:_leaf", "before"),
    Point("child.after_start", _SUPERVISORS + "child:_leaf", "after"),  # it is not ready yet
)


def install(rig: Rig) -> None:
    """Wrap every point."""
    targets: dict[str, list[Point]] = {}
    for point in POINTS:
        targets.setdefault(point.target, []).append(point)
    for target, points in targets.items():
        _install(rig, target, points)


def _install(rig: Rig, target: str, points: Sequence[Point]) -> None:
    before = [point.name for point in points if point.side == "before"]
    after = [point.name for point in points if point.side == "after"]

    def around(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for name in before:
            rig.passes(name)
        result = function(*args, **kwargs)
        for name in after:
            rig.passes(name)
        return result

    wrap(target, around)
