"""How a supervisor that runs becomes another one: policy, children that come, change and go.

Two phases.  In the first one everything comes up that is new; nobody stops but who has to begin
another life.  When that fails, all is as it was again.  In the second one, which cannot fail, those
stop that are children no more.  Lost when the supervisor dies: its next life is what its parent
has agreed to.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.host import Errand
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import Reconfigure, Settle
from holdfast.errors import ChildError
from holdfast.supervisors.changes import DIED
from holdfast.supervisors.children import Child
from holdfast.supervisors.in_place import needs_another_life, swaps
from holdfast.supervisors.settings import AgentSettings
from holdfast.supervisors.spec import (
    EXIT_SHUTDOWN,
    EXIT_STOPPED,
    ChildSpec,
    Environment,
    SupervisorSpec,
    Terms,
)
from holdfast.supervisors.steps import Steps, take
from holdfast.supervisors.supervision import Supervision

__all__ = ["Awaited", "Changing"]

ANSWER: Final = 10.0  # seconds for a state actor to take other settings: it answers in milliseconds
LIVES: Final = 3  # of one that dies while it is stopped, until the reload is undone
LOOK: Final = 0.02  # seconds between two looks at a child that starts
STOPPING: Final = "it is being stopped"
REMOVED: Final = "removed by a reload"

_encode = msgspec.msgpack.Encoder().encode


class Changing:
    """One supervisor's; a change begins when the one before has ended."""

    def __init__(self, supervision: Supervision, *, mailbox: Mailbox) -> None:
        self._supervision = supervision
        self._mailbox = mailbox
        # Children that were taken down for another life, and are to be up in any case.
        self._owed: set[str] = set()

    def begin(self, terms: Terms, done: Callable[[str], None], *, is_back: bool = False) -> None:
        """Become what ``terms`` say; ``done`` gets the error, and then all is as it was.

        ``is_back``: they are those from before, and who came since goes.
        """
        take(self._become(terms) if is_back else self._change(terms), done)

    def settle(self, names: list[str], done: Callable[[str], None]) -> None:
        """The terms stand: stop who is no child any more, here and below.

        ``names`` are all that the tree has now.
        """
        take(self._settle(names), done)

    # -- the first phase ----------------------------------------------------------------------

    def _change(self, terms: Terms) -> Steps[str]:
        before = self._supervision.terms
        error = yield from self._come_up(terms)
        if error:
            logger.warning("a reload fails and is undone: {}", error.partition("\n")[0])
            yield from self._become(before)
        else:
            self._owed.clear()
            self._supervision.roster.put_in_order()
        return error

    def _become(self, terms: Terms) -> Steps[str]:
        """Be again as before; what cannot be is left to ordinary supervision."""
        yield from self._come_up(terms, is_back=True)
        self._owed.clear()
        yield from self._retire()
        return ""

    def _come_up(self, terms: Terms, *, is_back: bool = False) -> Steps[str]:
        supervision, spec = self._supervision, _supervisors(terms)
        old = supervision.terms
        if not self._is_able:
            return STOPPING
        supervision.adopt(terms)
        change = _Step(_supervisors(old), spec, old.environment, terms.environment, is_back)
        for phase in (self._in_place, self._add, self._renew):
            for new in spec.children:
                error = yield from phase(new, change)
                if error and not is_back:
                    return error
                if error:  # it goes on with all others
                    logger.error("not as it was before: {}", error)
            supervision.watch_all()
        return ""

    # -- single children ----------------------------------------------------------------------

    def _in_place(self, new: ChildSpec, change: _Step) -> Steps[str]:
        """Of a child that goes on as it is."""
        child = self._supervision.roster.children.get(new.id)
        if child is None:
            return ""
        if change.renews(child, new):
            return ""
        old = child.spec
        child.spec = msgspec.structs.replace(new, run=old.run) if new.is_supervisor else new
        if not change.concerns(old, new):
            child.spec = new
            return ""
        yield from self._while_it_starts(child)
        if new.is_supervisor:
            error = yield from self._below(child, new, change)
        else:
            error = yield from self._told(child, new, change)
        return f"{new.id}: {error}" if error else ""

    def _told(self, child: Child, new: ChildSpec, change: _Step) -> Steps[str]:
        """The process of one that has no children; if there is none, the next begins so."""
        if child.state != "running":
            return ""
        terms = change.terms(new)
        if isinstance(new.run, AgentSettings):  # which may be busy for hours
            try:
                child.tell(Reconfigure(child.change.begin(None), _encode(terms)))
            except OSError as refused:
                return f"it cannot be told: {_why(refused)}"
            return ""
        error = yield partial(self._ask, child, terms, timeout=ANSWER)
        return "" if error == DIED else error

    def _below(self, child: Child, new: ChildSpec, change: _Step) -> Steps[str]:
        """All that changes below a nested supervisor; it has no more time than its children."""
        if child.state == "running":
            terms, is_back = change.terms(new), change.is_back
            error = yield partial(self._ask, child, terms, is_back=is_back)
            if error and not is_back:
                return error
        # Without a process it begins its next life so.
        listed, before = set(new.below), set(child.spec.below)
        child.unlisted = (child.unlisted | before) - listed
        self._supervision.roster.claim(child, listed - before)
        child.spec = new
        return ""

    def _add(self, new: ChildSpec, change: _Step) -> Steps[str]:
        """A child that was not there before."""
        if change.is_back or change.knows(new):
            return ""
        if not self._is_able:
            return STOPPING
        return (yield from self._take_in(new, is_new=True))

    def _take_in(self, new: ChildSpec, *, is_new: bool = False) -> Steps[str]:
        try:
            child = self._supervision.roster.take_in(new)
        except (ChildError, OSError) as error:
            return f"child {new.id!r} cannot be added: {error}"
        return (yield partial(self._start, child, is_new=is_new))

    def _renew(self, new: ChildSpec, change: _Step) -> Steps[str]:
        """Another life with other settings; one that is down stays so."""
        supervision = self._supervision
        child = supervision.roster.children.get(new.id)
        if child is None:
            return ""
        if not change.renews(child, new):
            # It may have died for the last time before the other life that it was to have.
            is_down = change.is_back and new.id in self._owed and not child.has_process
            return (yield from self._begin_again(child, change)) if is_down else ""
        is_wanted = child.state in ("starting", "running", "backoff")
        if is_wanted or supervision.restarting.awaits(child):
            self._owed.add(new.id)
        yield from self._stop_and_wait(child)
        if new.id in self._owed and swaps(child.spec.run, new.run):
            error = yield from self._hand_over(child, is_back=change.is_back)
            if error and not change.is_back:
                return error
        if not self._is_able:
            return STOPPING
        child.spec = new
        if new.id not in self._owed:
            return ""
        if new.id not in supervision.roster.children:  # a temporary one, once it has stopped
            return (yield from self._take_in(new))
        return (yield from self._begin_again(child, change))

    def _begin_again(self, child: Child, change: _Step) -> Steps[str]:
        error = yield partial(self._start, child)
        if error and change.is_back and self._is_able:
            self._supervision.launcher.launch(child)  # and now as often as its supervisor allows
        return error

    def _hand_over(self, child: Child, *, is_back: bool) -> Steps[str]:
        """What keeps its state elsewhere from now on has to have stopped in order.

        If it died, what it had acknowledged may be in its old place only, where no other but one
        more life with the old settings looks for it.  On the way back, one that never was ready
        has acknowledged nothing.
        """
        for _ in range(LIVES):
            if _has_stopped_in_order(child, is_back=is_back) or not self._is_able:
                return ""
            error = yield partial(self._start, child)
            if error:
                return error
            yield from self._stop_and_wait(child)
        is_done = _has_stopped_in_order(child, is_back=is_back)
        return "" if is_done else f"{child.spec.id}: it dies while it is stopped"

    def _stop_and_wait(self, child: Child) -> Steps[None]:
        restarting = self._supervision.restarting
        if child.has_process:
            restarting.leave(child)
            yield partial(self._stop, child)
        elif child.spec.restart != "temporary":
            restarting.withdrawn(child)

    def _while_it_starts(self, child: Child) -> Steps[None]:
        """Its process has begun with the old settings; not for ever: that has a deadline."""
        while child.state == "starting" and self._is_able:
            yield self._soon

    # -- the second phase ---------------------------------------------------------------------

    def _settle(self, names: list[str]) -> Steps[str]:
        self._supervision.roster.let_go(names)
        for child in list(self._supervision.roster.children.values()):
            if child.spec.is_supervisor and child.state == "running":
                yield partial(self._ask_to_settle, child, names)
        yield from self._retire()
        return ""

    def _retire(self) -> Steps[None]:
        """Those that no spec names any more, the last started first."""
        roster = self._supervision.roster
        listed = {child.id for child in _supervisors(self._supervision.terms).children}
        for child in reversed(list(roster.children.values())):
            if child.is_added or child.spec.id in listed or not self._is_able:
                continue
            yield from self._stop_and_wait(child)
            if child.spec.id in roster.children and self._is_able:
                roster.remove(child, REMOVED)

    # -- waits --------------------------------------------------------------------------------

    @property
    def _is_able(self) -> bool:
        return self._supervision.phase == "running"

    def _ask(
        self,
        child: Child,
        terms: Terms,
        done: Callable[[str], None],
        *,
        is_back: bool = False,
        timeout: float = 0.0,
    ) -> None:
        ident = child.change.begin(self._later(done))
        try:
            child.tell(Reconfigure(ident, _encode(terms), is_back))
        except OSError as error:
            child.change.answered(ident, f"it cannot be told: {_why(error)}")
        if timeout:
            late = f"it has not taken the new settings within {timeout:g} s"
            self._mailbox.later(timeout, lambda: child.change.answered(ident, late))

    def _ask_to_settle(self, child: Child, names: list[str], done: Callable[[str], None]) -> None:
        child.tell(Settle(child.change.begin(self._later(done)), names))

    def _start(self, child: Child, done: Callable[[str], None], *, is_new: bool = False) -> None:
        supervision = self._supervision
        supervision.undertaker.release(child.spec)
        supervision.orders.start(child, Awaited(self._later(done)), is_new=is_new)
        supervision.launcher.launch(child)

    def _stop(self, child: Child, done: Callable[[str], None]) -> None:
        self._supervision.orders.stop(child, Awaited(self._later(done)))
        if child.state != "stopping":
            child.stop()

    def _soon(self, done: Callable[[str], None]) -> None:
        self._mailbox.after(LOOK, Errand(partial(done, "")))

    def _later(self, done: Callable[[str], None]) -> Callable[[str], None]:
        """As a message of its own: who answers is in the middle of something."""
        return lambda error: self._mailbox.deliver(Errand(partial(done, error)))


class _Step(msgspec.Struct, frozen=True):
    """What a supervisor was and is to be, and what all processes share."""

    old: SupervisorSpec
    spec: SupervisorSpec
    before: Environment
    after: Environment
    is_back: bool

    def knows(self, new: ChildSpec) -> bool:
        """Whether it is named already, though it may have ended for good."""
        return any(child.id == new.id for child in self.old.children)

    def renews(self, child: Child, new: ChildSpec) -> bool:
        """Whether the child needs another life for that."""
        return needs_another_life(child.spec.run, new.run, self.before, self.after)

    def concerns(self, old: ChildSpec, new: ChildSpec) -> bool:
        """Whether its process has to hear of it."""
        is_same = self.before == self.after and self.old.pulse == self.spec.pulse
        return old.run != new.run or not is_same or self.is_back

    def terms(self, new: ChildSpec) -> Terms:
        """What it is to be."""
        return Terms(self.after, new.run, self.spec.pulse)


class Awaited:
    """In the place of a delivery, for who gives an order from within."""

    def __init__(self, done: Callable[[str], None]) -> None:
        self._done = done

    def set_aside(self) -> None:
        """Nothing is held up by it."""

    def set(self, value: object) -> None:
        """It is done."""
        self._done("")

    def set_exception(self, info: tuple[Any, BaseException, Any]) -> None:
        """It has failed."""
        self._done(str(info[1]))


def _has_stopped_in_order(child: Child, *, is_back: bool) -> bool:
    last = child.last_exit
    if last is None or child.ready_at is None:
        return last is None or is_back
    return last.code in (EXIT_STOPPED, EXIT_SHUTDOWN)


def _why(error: OSError) -> str:
    return "its settings are over 200 KB" if error.errno == errno.EMSGSIZE else str(error)


def _supervisors(terms: Terms) -> SupervisorSpec:
    assert isinstance(terms.run, SupervisorSpec)
    return terms.run
