"""Reload: the root reads its config file again, and the tree becomes what it says.

Everything is checked before anything is touched; what fails later is undone.  One reload at a
time, which goes on when whoever asked has gone.  Lost when the root dies: the reload; its next
life is what the file says then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import msgspec
from loguru import logger

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.reload import Reload, Reloaded
from holdfast.errors import ConfigError, HoldfastError, ReloadError
from holdfast.supervisors.changing import Changing
from holdfast.supervisors.checking import Check
from holdfast.supervisors.checkup import PROBE_TIMEOUT, check_all
from holdfast.supervisors.config_file import ConfigFile, Read
from holdfast.supervisors.notify import Notifier
from holdfast.supervisors.reload_plan import Plan, plan_of
from holdfast.supervisors.settings import Settings
from holdfast.supervisors.spec import Environment, Terms
from holdfast.supervisors.steps import Steps, take
from holdfast.supervisors.supervision import Supervision
from holdfast.supervisors.watching import FileWatch

__all__ = ["Reloading"]

Trigger = Literal["command", "signal", "watch"]

SHOWN: Final = 4_000  # characters of an error in an event; all of it is in the log
UNDONE: Final = "the reload failed, and all is as it was before"


class Reloading:
    """The root's, if it has a config file."""

    def __init__(
        self,
        file: ConfigFile,
        *,
        read: Read,
        mailbox: Mailbox,
        supervision: Supervision,
        notifier: Notifier,
    ) -> None:
        """``read`` is what the tree was started with."""
        self._file = file
        self._now = read
        self._mailbox = mailbox
        self._supervision = supervision
        self._changing = Changing(supervision, mailbox=mailbox)
        self._notifier = notifier
        self._is_busy = False
        # What the root itself has to know of another environment.
        self.adopted: Callable[[Environment], None] = lambda _: None
        self._watch = FileWatch(
            file, mailbox=mailbox, known=read.look, changed=lambda: self.begin("watch")
        )

    def start(self) -> None:
        """Watch the file, if it says so."""
        self._watch.turn(self._now.settings.daemon.watch)

    def asked(self, request: Reload, delivery: Delivery) -> Later:
        """Answer when it is done.  Raises ReloadError while another one is under way."""
        self._refuse_when_busy()
        delivery.set_aside()

        def done(outcome: Reloaded | HoldfastError) -> None:
            if isinstance(outcome, HoldfastError):
                delivery.set_exception((type(outcome), outcome, None))
            else:
                delivery.set(outcome)

        self._take(request.dry_run, "command", done)
        return LATER

    def begin(self, trigger: Trigger) -> None:
        """Nobody waits for the outcome: it is in the log, and an event."""
        try:
            self._refuse_when_busy()
        except ReloadError as error:
            logger.warning("{}: {}", trigger, error)
        else:
            self._take(False, trigger, lambda _: None)

    def _refuse_when_busy(self) -> None:
        phase = self._supervision.phase
        if phase != "running":
            words = "starts" if phase == "starting" else "is being stopped"
            raise ReloadError(f"the daemon {words}: nothing is reloaded", reason=phase)
        if self._is_busy:
            raise ReloadError("busy: a reload is under way already; try again", reason="busy")

    def _take(
        self, is_dry: bool, trigger: Trigger, done: Callable[[Reloaded | HoldfastError], None]
    ) -> None:
        self._is_busy = True
        began = self._mailbox.monotonic()

        def end(outcome: Reloaded | HoldfastError) -> None:
            self._is_busy = False
            if not is_dry:
                self._notifier.reloaded()
                self._tell(outcome, trigger, self._mailbox.monotonic() - began)
            done(outcome)

        if not is_dry:
            self._notifier.reloading()  # also where nothing changes: who sent the signal waits
        take(self._guarded(is_dry, began), end)

    def _guarded(self, is_dry: bool, began: float) -> Steps[Reloaded | HoldfastError]:
        try:
            return (yield from self._reload(is_dry, began))
        except HoldfastError as error:
            return error

    # -- the steps ----------------------------------------------------------------------------

    def _reload(self, is_dry: bool, began: float) -> Steps[Reloaded]:
        read = self._file.read_again()
        self._watch.know(read.look)
        plan = plan_of(self._now.settings, read.settings, self._now.environment, read.environment)
        if plan.refusals and not is_dry:
            raise ReloadError("\n".join(plan.refusals), reason="refused")
        checks = _checks(read.settings, plan)
        launcher = self._supervision.launcher
        if error := (yield from check_all(checks, mailbox=self._mailbox, launcher=launcher)):
            raise ConfigError(f"{self._file.path}: {error}")
        if not is_dry:
            yield from self._apply(read)
        seconds = self._mailbox.monotonic() - began
        return Reloaded(
            str(self._file.path), plan.lines, plan.refusals, not is_dry, round(seconds, 3)
        )

    def _apply(self, read: Read) -> Steps[None]:
        now = self._now
        for name in set(self._supervision.roster.added_below) & set(read.spec.descendants()):
            raise ReloadError(
                f"{name}: a message has added a child of that name: delete that first, or give "
                "one of them another name",
                reason="refused",
            )
        if read.spec != now.spec or read.environment != now.environment:
            yield from self._change(read)
        self._now = read
        self.adopted(read.environment)
        self._watch.turn(read.settings.daemon.watch)

    def _change(self, read: Read) -> Steps[None]:
        terms = Terms(read.environment, read.spec)
        if error := (yield partial(self._changing.begin, terms)):
            raise ReloadError(f"{UNDONE}: {error}", reason="failed")
        yield partial(self._changing.settle, [*read.spec.descendants()])

    def _tell(self, outcome: Reloaded | HoldfastError, trigger: Trigger, seconds: float) -> None:
        data: dict[str, Any] = {
            "config": str(self._file.path),
            "trigger": trigger,
            "seconds": round(seconds, 3),
        }
        if isinstance(outcome, Reloaded):
            figures = {action.replace(" ", "_"): n for action, n in outcome.counts.items()}
            changed = ", ".join(f"{n} {action}" for action, n in outcome.counts.items() if n)
            text = f"reloaded {self._file.path} in {seconds:.3f} s: {changed}"
            self._supervision.reports.reloaded(text, data | {"ok": True} | figures)
        else:
            reason = outcome.reason if isinstance(outcome, ReloadError) else "config"
            data |= {"ok": False, "reason": reason, "error": str(outcome)[:SHOWN]}
            text = f"{self._file.path} is not reloaded: {outcome}"
            self._supervision.reports.reloaded(text, data, is_error=True)


def _checks(settings: Settings, plan: Plan) -> list[tuple[Check, float]]:
    """What is to be looked at before, and in how many seconds: all that another life needs."""
    checks = []
    for name in plan.names("agent", "add", "restart"):
        agent = settings.agents[name]
        checks.append((Check(f"[agents.{name}]", agent=agent), agent.start_timeout))
    if "sessions" in plan.names("actor", "swap"):
        table: dict[str, Any] = msgspec.to_builtins(settings.actors["sessions"])
        where = "[actors.sessions]"
        address = str(table.get("url", ""))
        check = Check(where, backend=str(table.get("backend", "")), address=address)
        checks.append((check, PROBE_TIMEOUT))
    return checks
