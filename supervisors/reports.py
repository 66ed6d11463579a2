"""What a supervisor tells the world: OTP's reports, one log line and one event each."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from loguru import logger

from holdfast.actors.mailbox import Mailbox, MailboxLink
from holdfast.actors.messages.log import Emit
from holdfast.actors.messages.supervisor import LastExit
from holdfast.clock import Clock
from holdfast.storage.records import Event
from holdfast.supervisors.children import Child
from holdfast.supervisors.spec import Environment, SupervisorSpec

__all__ = ["Reports", "exit_text"]

OUTBOX = 1_000  # reports that wait for the log; beyond it they are only logged
TAIL = 4_000  # characters of a traceback that an event carries

_encode = msgspec.msgpack.Encoder().encode
_encode_json = msgspec.json.Encoder().encode


class Reports:
    """Logs at once; the event waits in the outbox until the log has it committed."""

    def __init__(self, *, supervisor: str, log: Callable[[], MailboxLink] | None, clock: Clock):
        self._supervisor = supervisor
        self._log = log
        self._clock = clock
        self._dropped = 0  # not sent as events since the last that was

    @classmethod
    def of(cls, name: str, environment: Environment, mailbox: Mailbox, clock: Clock) -> Reports:
        """The reports of supervisor ``name``, as events if the tree has an actor for them."""
        to = environment.report_to
        log = None if to is None else lambda: mailbox.link(to)
        return cls(supervisor=name, log=log, clock=clock)

    def progress(self, child: Child) -> None:
        """A child is ready."""
        took = 0.0 if child.ready_at is None else child.ready_at - child.started_at
        text = f"{child.spec.id} is ready: pid {child.pid}, start {child.starts}, {took:.3f} s"
        self._report("INFO", "progress", child, text, {"seconds": took})

    def child_terminated(self, child: Child, pid: int | None) -> None:
        """A child that was ready is dead."""
        text = f"{child.spec.id} is dead: pid {pid}, {exit_text(child.last_exit)}"
        self._report("WARNING", "child_terminated", child, text, _death(child, pid))

    def start_error(self, child: Child, pid: int | None) -> None:
        """A child ended before it was ready."""
        text = f"{child.spec.id} did not start: {exit_text(child.last_exit)}"
        if child.failure:
            text += f"\n{child.failure.rstrip()}"
        self._report("ERROR", "start_error", child, text, _death(child, pid))

    def shutdown_error(self, child: Child, pid: int | None) -> None:
        """A child that was told to stop ended otherwise."""
        text = f"{child.spec.id} did not stop in order: {exit_text(child.last_exit)}"
        self._report("ERROR", "shutdown_error", child, text, _death(child, pid))

    def stopped(self, child: Child) -> None:
        """A child stopped as it was told to; nothing that a reader of events has to know."""
        logger.info("{} is stopped", child.spec.id)

    def zygote_lost(self, reason: str) -> None:
        """The zygote died, and all children with it."""
        self._report("ERROR", "zygote_lost", None, f"the zygote is lost: {reason}", {})

    def gave_up(self, child: Child | None, limit: str, spec: SupervisorSpec) -> None:
        """One restart too many; ``child`` is the one whose death it was."""
        cause = "the zygote" if child is None else child.spec.id
        if limit == "max_failed_starts":
            most = spec.failed_starts_limit
            text = (
                f"giving up: {cause} ended {most + 1} times in a row within {spec.stable_after:g} s"
            )
            data: dict[str, object] = {"max_failed_starts": most}
        else:
            seconds = spec.max_seconds
            text = f"giving up: {cause} needs restart {spec.max_restarts + 1} within {seconds:g} s"
            data = {"max_restarts": spec.max_restarts, "max_seconds": seconds}
        self._report("ERROR", f"reached_{limit}", child, text, data)

    def auto_shutdown(self, child: Child) -> None:
        """The end of a significant child is that of its supervisor."""
        text = f"shutting down: {child.spec.id}, which is significant, has ended"
        self._report("WARNING", "auto_shutdown", child, text, {})

    def _report(
        self, level: str, kind: str, child: Child | None, text: str, data: dict[str, object]
    ) -> None:
        logger.bind(report=kind).log(level, text)
        if self._log is None:
            return
        subject = None if child is None else child.spec.id
        if child is not None:
            data |= {"child": subject, "incarnation": child.starts, "restarts": child.restarts}
            data |= {} if child.pid is None else {"pid": child.pid}
        link = self._log()
        if link.link.queued >= OUTBOX:
            self._dropped += 1
            return
        if self._dropped:
            data["reports_dropped_before"], self._dropped = self._dropped, 0
        event = Event(
            time_us=self._clock.time_us(),
            type=f"supervisor:{kind}",
            source=f"supervisor/{self._supervisor}",
            subject=subject,
            data=_encode_json(data).decode(),
        )
        link.tell(Emit(msgspec.Raw(_encode([event]))))


def exit_text(last_exit: LastExit | None) -> str:
    """An exit in words."""
    if last_exit is None:
        return "no process"
    if last_exit.code is None and last_exit.signal is None:
        return last_exit.kind
    number = f"signal {last_exit.signal}" if last_exit.code is None else f"code {last_exit.code}"
    return number if last_exit.kind == "signal" else f"{last_exit.kind}, {number}"


def _death(child: Child, pid: int | None) -> dict[str, object]:
    data: dict[str, object] = {"pid": pid, "exit": msgspec.to_builtins(child.last_exit)}
    if child.failure:
        data["failure"] = child.failure[-TAIL:]
    return data
