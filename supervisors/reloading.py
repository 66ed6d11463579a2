"""Reload: the root reads its config file again, and the tree becomes what it says.

Everything is checked before anything is touched; what fails later is undone.  One reload at a
time, which goes on when whoever asked has gone.  Lost when the root dies: the reload; its next
life is what the file says then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
from loguru import logger

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.reload import Reload, Reloaded
from holdfast.actors.messages.swap import (
    CancelSwap,
    ForgetSwapped,
    GetSwap,
    GetSwaps,
    SwapCancelled,
    SwapIs,
    SwappedForgotten,
    SwapsAre,
)
from holdfast.errors import ConfigError, HoldfastError, ReloadError
from holdfast.supervisors.changing import Changing
from holdfast.supervisors.checking import Check
from holdfast.supervisors.checkup import PROBE_TIMEOUT, check_all
from holdfast.supervisors.commit_point import in_words, read_point
from holdfast.supervisors.config_file import ConfigFile, Read
from holdfast.supervisors.notify import Notifier
from holdfast.supervisors.reload_plan import Plan, plan_of
from holdfast.supervisors.spec import Environment, SupervisorSpec, Terms
from holdfast.supervisors.steps import Steps, take
from holdfast.supervisors.supervision import Supervision
from holdfast.supervisors.swapping import Swapping
from holdfast.supervisors.watching import FileWatch

__all__ = ["Reloading"]

Trigger = Literal["command", "signal", "watch"]

SHOWN: Final = 4_000  # characters of an error in an event; all of it is in the log
# What of an environment says where the data is, and how it is opened.
DATABASE: Final = ("backend", "database", "dsn", "outage_timeout", "full_text")
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
        swapping: Swapping,
    ) -> None:
        """``read`` is what the tree was started with."""
        self._file = file
        self._now = read
        self._swapping = swapping
        self._mailbox = mailbox
        self._supervision = supervision
        self._changing = Changing(supervision, mailbox=mailbox)
        self._notifier = notifier
        self._is_busy = False
        # What the root itself has to know of another environment.
        self.adopted: Callable[[Environment], None] = lambda _: None
        self._watch = FileWatch(
            file, mailbox=mailbox, known=read.look, changed=partial(self.begin, "watch")
        )

    def start(self) -> None:
        """Watch the file, if it says so; end what another root was in the middle of."""
        self._watch.turn(self._now.settings.daemon.watch)
        self._swapping.cut_off.alone = self._alone
        self._swapping.cut_off.limit = self._now.settings.storage.resume_rows
        self._alone(self._swapping.remains.recover())

    def _alone(self, steps: Steps[None]) -> bool:
        """Take them while nothing is reloaded, and nothing reloaded meanwhile; whether it is so."""
        if self._is_busy:
            return False
        self._is_busy = True

        def free(error: HoldfastError | None) -> None:
            self._is_busy = False
            if error is not None:
                logger.error("{}", error)

        take(_caught(steps), free)
        return True

    def asked(self, request: Reload, delivery: Delivery) -> Later:
        """Answer when it is done.  Raises ReloadError while another one is under way."""
        self._refuse_when_busy()
        delivery.set_aside()

        self._take(request.dry_run, "command", partial(_answer, delivery))
        return LATER

    def asked_of_swaps(
        self, request: GetSwap | GetSwaps | ForgetSwapped | CancelSwap, delivery: Delivery
    ) -> SwapIs | SwapsAre | Later:
        """Raises ReloadError, StorageError."""
        if isinstance(request, GetSwap):
            point = read_point(Path(self._now.environment.data_dir))
            where = in_words(self._supervision.terms.environment)
            return SwapIs(self._swapping.status, where, "" if point is None else point.since)
        if isinstance(request, GetSwaps):
            newest = self._swapping.files.history()[-request.limit :] if request.limit > 0 else []
            return SwapsAre([entry.record for entry in newest])
        if isinstance(request, CancelSwap) and self._is_busy:
            return self._swapping.cancel(delivery)
        self._refuse_when_busy()
        delivery.set_aside()
        self._is_busy = True

        def done(outcome: SwappedForgotten | SwapCancelled | HoldfastError) -> None:
            self._is_busy = False
            _answer(delivery, outcome)

        if isinstance(request, CancelSwap):
            take(_caught(self._swapping.remains.cancel()), done)
        else:
            take(_caught(self._swapping.remains.forget(dry_run=request.dry_run)), done)
        return LATER

    def begin(self, trigger: Trigger) -> bool:
        """Nobody waits for the outcome: it is in the log, and an event.  Whether it has begun."""
        try:
            self._refuse_when_busy()
        except ReloadError as error:
            if trigger != "watch":  # which comes again
                logger.warning("{}: {}", trigger, error)
            return False
        self._take(False, trigger, lambda _: None)
        return True

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
        take(_caught(self._reload(is_dry, trigger, began)), end)

    # -- the steps ----------------------------------------------------------------------------

    def _reload(self, is_dry: bool, trigger: Trigger, began: float) -> Steps[Reloaded]:
        read = self._file.read_again()
        self._watch.know(read.look)
        is_same = yield from self._is_same(read)
        now = self._now
        plan = plan_of(
            now.settings, read.settings, now.environment, read.environment, is_same=is_same
        )
        if plan.refusals and not is_dry:
            raise ReloadError("\n".join(plan.refusals), reason="refused")
        checks = _checks(read, plan)
        launcher = self._supervision.launcher
        if error := (yield from check_all(checks, mailbox=self._mailbox, launcher=launcher)):
            raise ConfigError(f"{self._file.path}: {error}")
        note = ""
        if not is_dry:
            note = yield from self._apply(read, plan, trigger, began)
        elif plan.is_moved:
            note = self._swapping.outlook(read.settings.storage, read.environment)
        seconds = round(self._mailbox.monotonic() - began, 3)
        path, notes = str(self._file.path), [note] if note else []
        return Reloaded(path, plan.lines, plan.refusals, not is_dry, seconds, notes)

    def _apply(self, read: Read, plan: Plan, trigger: Trigger, began: float) -> Steps[str]:
        for name in set(self._supervision.roster.added_below) & set(read.spec.descendants()):
            raise ReloadError(
                f"{name}: a message has added a child of that name: delete that first, or give "
                "one of them another name",
                reason="refused",
            )
        note = ""
        if plan.is_moved:
            note = yield from self._change_and_move(read, trigger)
        elif plan.is_readdressed:
            yield from self._change_and_readdress(read)
        elif read.spec != self._now.spec or read.environment != self._now.environment:
            yield from self._change(read.spec, read.environment)
        yield partial(self._changing.settle, [*read.spec.descendants()])
        self._note_sessions(plan, read, trigger, self._mailbox.monotonic() - began)
        self._now = read
        self.adopted(read.environment)
        self._watch.turn(read.settings.daemon.watch)
        self._swapping.cut_off.limit = read.settings.storage.resume_rows
        if not plan.is_moved:
            yield from self._give_up()
        return note

    def _give_up(self) -> Steps[None]:
        """A swap that was cut off: the config names the place where the data is."""
        try:
            yield from self._swapping.cut_off.give_up("given up: the config names no other place")
        except HoldfastError as error:
            logger.warning("{}; `holdfast swap cancel` tries again", error)

    def _change_and_move(self, read: Read, trigger: Trigger) -> Steps[str]:
        """All else first: what fails there is undone without a swap, and no swap ever is."""
        before = self._supervision.terms
        yield from self._change(read.spec, _with_database_of(read.environment, before.environment))
        try:
            storage = read.settings.storage
            return (yield from self._swapping.move(storage, read.environment, trigger))
        except HoldfastError:
            yield partial(self._changing.begin, before, is_back=True)
            raise

    def _change_and_readdress(self, read: Read) -> Steps[None]:
        """As that."""
        before = self._supervision.terms
        yield from self._change(read.spec, _with_database_of(read.environment, before.environment))
        source, storage = self._supervision.terms.environment, read.settings.storage
        try:
            yield from self._swapping.readdressing.carry_out(storage, source, read.environment)
        except HoldfastError:
            yield partial(self._changing.begin, before, is_back=True)
            raise

    def _is_same(self, read: Read) -> Steps[bool]:
        """Whether another dsn leads to the database that the writer has open."""
        dsns = {self._now.environment.dsn, read.environment.dsn}
        if len(dsns) == 1 or "" in dsns:
            return False
        check = Check("[storage]", environment=read.environment, is_same=True)
        launcher = self._supervision.launcher
        checks = [(check, PROBE_TIMEOUT)]
        return not (yield from check_all(checks, mailbox=self._mailbox, launcher=launcher))

    def _change(self, spec: SupervisorSpec, environment: Environment) -> Steps[None]:
        if error := (yield partial(self._changing.begin, Terms(environment, spec))):
            raise ReloadError(f"{UNDONE}: {error}", reason="failed")

    def _note_sessions(self, plan: Plan, read: Read, trigger: Trigger, seconds: float) -> None:
        """Of the other backend that may be swapped; how long all of the reload took."""
        tables = (each.settings.actors["sessions"] for each in (self._now, read))
        before, after = (str(getattr(table, "backend", "")) for table in tables)
        if "sessions" in plan.names("actor", "swap") and before != after:
            self._swapping.note_sessions(before, after, trigger, seconds)

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


R = TypeVar("R")


def _caught(steps: Steps[R]) -> Steps[R | HoldfastError]:
    """With what goes wrong as the outcome."""
    try:
        return (yield from steps)
    except HoldfastError as error:
        return error


def _answer(
    delivery: Delivery, outcome: Reloaded | SwappedForgotten | SwapCancelled | HoldfastError
) -> None:
    if isinstance(outcome, HoldfastError):
        delivery.set_exception((type(outcome), outcome, None))
    else:
        delivery.set(outcome)


def _with_database_of(after: Environment, before: Environment) -> Environment:
    """As it is to be, but where the data is."""
    kept = {name: getattr(before, name) for name in DATABASE}
    return msgspec.structs.replace(after, **kept)


def _checks(read: Read, plan: Plan) -> list[tuple[Check, float]]:
    """What is to be looked at before, and in how many seconds: all that another life needs."""
    settings, checks = read.settings, []
    if plan.is_moved or plan.is_readdressed:
        checks.append((Check("[storage]", environment=read.environment), PROBE_TIMEOUT))
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
