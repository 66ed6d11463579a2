"""What a supervisor tells the world: OTP's reports, one log line and one event each.

Owns the newest of them for whoever asks; lost with the supervisor, the events are not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import takewhile

import msgspec
from loguru import logger

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.mailbox import Mailbox, MailboxLink
from holdfast.actors.messages.log import Emit
from holdfast.actors.messages.supervisor import GetReports, LastExit, Report, ReportsAre
from holdfast.clock import Clock
from holdfast.errors import DeliveryError
from holdfast.storage.records import Event
from holdfast.supervisors.children import Child
from holdfast.supervisors.spec import Environment, SupervisorSpec
from holdfast.supervisors.watchdog import Hung

__all__ = ["Reports", "exit_text"]

OUTBOX = 1_000  # reports that wait for the log; beyond it they are only logged
KEPT = 1_000  # reports that are remembered for whoever asks
PAGE = 250  # of them in one answer
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
        self._count = 0
        self._kept: deque[Report] = deque(maxlen=KEPT)
        self._waiting: list[tuple[int, Delivery]] = []  # after which number, and who

    @classmethod
    def of(cls, name: str, environment: Environment, mailbox: Mailbox, clock: Clock) -> Reports:
        """The reports of supervisor ``name``, as events if the tree has an actor for them."""
        to = environment.report_to
        log = None if to is None else lambda: mailbox.link(to)
        return cls(supervisor=name, log=log, clock=clock)

    def asked(self, request: GetReports, delivery: Delivery) -> ReportsAre | Later:
        """What is newer than the request says, now or as soon as there is something."""
        newer = self._after(request.after)
        if newer or request.after < 0:
            return ReportsAre(newer)
        self._waiting = [one for one in self._waiting if not one[1].intake.closed]
        if len(self._waiting) >= KEPT:
            raise DeliveryError(f"{KEPT} wait for the next report of {self._supervisor!r} already")
        # From now on: one who is ahead of this life has come from an earlier one.
        self._waiting.append((min(request.after, self._count), delivery))
        delivery.set_aside()
        return LATER

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

    def child_hung(self, child: Child, hung: Hung, stack: str) -> None:
        """A child hangs, and is about to be killed for it."""
        text = f"{child.spec.id} hangs: {hung.text}"
        if stack:
            text += f"\n{stack.rstrip()}"
        data = {
            "reason": hung.why,
            "seconds": hung.seconds,
            "message": hung.message,
            "stopped": hung.is_stopped,
            # Of the main thread, which is the last; the newest frames are its first.
            "stack": stack.rpartition("\n\n")[2][:TAIL],
        }
        self._report("ERROR", "child_hung", child, text, data)

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

    def reloaded(self, text: str, data: Mapping[str, object], *, is_error: bool = False) -> None:
        """The config file was read again; what came of it."""
        self._report("ERROR" if is_error else "INFO", "reload", None, text, data, of="holdfast")

    def swapped(self, text: str, data: Mapping[str, object], *, is_error: bool = False) -> None:
        """The data moved to another backend, or did not."""
        self._report("ERROR" if is_error else "INFO", "swap", None, text, data, of="holdfast")

    def _report(
        self,
        level: str,
        kind: str,
        child: Child | None,
        text: str,
        data: Mapping[str, object],
        *,
        of: str = "supervisor",
    ) -> None:
        logger.bind(report=kind).log(level, text)
        subject = None if child is None else child.spec.id
        data = dict(data)
        if child is not None:
            data |= {"child": subject, "incarnation": child.starts, "restarts": child.restarts}
            data |= {} if child.pid is None else {"pid": child.pid}
        self._keep(kind, subject, text, dict(data))
        if self._log is None:
            return
        link = self._log()
        if link.link.queued >= OUTBOX:
            self._dropped += 1
            return
        if self._dropped:
            data["reports_dropped_before"], self._dropped = self._dropped, 0
        event = Event(
            time_us=self._clock.time_us(),
            type=f"{of}:{kind}",
            source=f"supervisor/{self._supervisor}",
            subject=subject,
            data=_encode_json(data).decode(),
        )
        link.tell(Emit(msgspec.Raw(_encode([event]))))

    def _keep(self, kind: str, child: str | None, text: str, data: dict[str, object]) -> None:
        self._count += 1
        text = text if len(text) <= TAIL else f"{text[: TAIL - 3]}..."
        self._kept.append(Report(self._count, self._clock.time_us(), kind, child, text, data))
        waiting, self._waiting = self._waiting, []
        for after, delivery in waiting:
            if not delivery.intake.closed:
                delivery.set(ReportsAre(self._after(after)))

    def _after(self, number: int) -> list[Report]:
        """From the right: who follows is never far behind."""
        newer = list(takewhile(lambda report: report.number > number, reversed(self._kept)))
        return newer[::-1][:PAGE]


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
