"""Children that are taken down together and come up together, elsewhere: those of the database.

Who is held is in the environment, so that no life that begins meanwhile starts one of them: not
that of a supervisor that is killed, nor a course of several children.  Lost with the supervisor,
whose next life is told by its parent.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

import msgspec
from loguru import logger

from holdfast.actors.host import Errand
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import Hold, Preload, Release
from holdfast.supervisors.changes import DIED
from holdfast.supervisors.changing import Awaited
from holdfast.supervisors.children import Child
from holdfast.supervisors.spec import Environment, Terms
from holdfast.supervisors.steps import Begin, Steps, take, together
from holdfast.supervisors.supervision import Supervision

__all__ = ["Holding", "decode_environment"]

LOOK: Final = 0.02  # seconds between two looks at a supervisor that starts
STOPPING: Final = "it is being stopped"

_encode = msgspec.msgpack.Encoder().encode
decode_environment: Callable[[bytes], Environment] = msgspec.msgpack.Decoder(Environment).decode


class Holding:
    """One supervisor's; holds may follow each other, a release ends all of them."""

    def __init__(self, supervision: Supervision, *, mailbox: Mailbox) -> None:
        self._supervision = supervision
        self._mailbox = mailbox
        # Who is to be up again.  In a life that began meanwhile: all of its own that are held.
        held = supervision.roster.held
        self._owed = {name for name in supervision.roster.children if name in held}

    def preload(self, modules: list[str]) -> None:
        """Have what will be forked, here and below, have these modules."""
        self._supervision.preload(modules)
        for child in self._supervisors():
            child.tell(Preload(modules))

    def hold(self, names: list[str], environment: Environment, done: Callable[[str], None]) -> None:
        """Take ``names`` down; ``done`` gets the error, which leaves it to a release to end it."""
        take(self._hold(names, environment), done)

    def release(self, environment: Environment, done: Callable[[str], None]) -> None:
        """Have all that are held up again, as children of ``environment``."""
        take(self._release(environment), done)

    # -- the steps ----------------------------------------------------------------------------

    def _hold(self, names: Collection[str], environment: Environment) -> Steps[str]:
        if not self._is_able:
            return STOPPING
        self._adopt(environment)
        below = [child for child in self._supervisors() if set(names) & set(child.spec.below)]
        message = partial(Hold, names=[*names], environment=_encode(environment))
        waits: list[Begin] = [partial(self._tell, child, message) for child in below]
        for name in names:
            if (child := self._supervision.roster.children.get(name)) is not None:
                waits += self._take_down(child)
        return (yield together(waits))

    def _take_down(self, child: Child) -> list[Begin]:
        restarting = self._supervision.restarting
        if child.state in ("starting", "running", "backoff") or restarting.awaits(child):
            self._owed.add(child.spec.id)
        if child.has_process:
            restarting.leave(child)
            return [partial(self._stop, child)]
        restarting.withdrawn(child)
        return []

    def _release(self, environment: Environment) -> Steps[str]:
        self._adopt(environment)
        if not self._is_able:
            return STOPPING
        message = partial(Release, environment=_encode(environment))
        waits: list[Begin] = [partial(self._tell, each, message) for each in self._supervisors()]
        children = self._supervision.roster.children
        owed = [child for child in children.values() if child.spec.id in self._owed]
        self._owed.clear()
        waits += [partial(self._bring_up, child) for child in owed]
        return (yield together(waits))

    def _adopt(self, environment: Environment) -> None:
        """Before anything else: no life that begins from here on is of another one."""
        terms = self._supervision.terms
        self._supervision.adopt(Terms(environment, terms.run, terms.heartbeat_interval))

    # -- waits --------------------------------------------------------------------------------

    @property
    def _is_able(self) -> bool:
        return self._supervision.phase == "running"

    def _supervisors(self) -> list[Child]:
        """Those with a process; the next life of the others begins as they are to be."""
        children = self._supervision.roster.children.values()
        return [
            child
            for child in children
            if child.spec.is_supervisor and child.state in ("starting", "running")
        ]

    def _tell(
        self,
        child: Child,
        message: Callable[[int], Hold | Release],
        done: Callable[[str], None],
        *,
        life: int = 0,
    ) -> None:
        """Once it takes messages; the next life of one that dies meanwhile knows all that."""
        if life and child.starts != life:
            self._later(done)("")
        elif child.state == "starting":  # it has begun with what was true before
            again = partial(self._tell, child, message, done, life=child.starts)
            self._mailbox.after(LOOK, Errand(again))
        elif child.state != "running":
            self._later(done)("")
        else:
            ended = self._later(done)
            ident = child.change.begin(lambda error: ended("" if error == DIED else error))
            try:
                child.tell(message(ident))
            except OSError as error:
                too_large = error.errno == errno.EMSGSIZE
                child.change.answered(ident, "over 200 KB" if too_large else str(error))

    def _stop(self, child: Child, done: Callable[[str], None]) -> None:
        self._supervision.orders.stop(child, Awaited(self._later(done)))
        if child.state != "stopping":
            child.stop()

    def _bring_up(self, child: Child, done: Callable[[str], None]) -> None:
        """Also one that has not come down yet, when a hold is given up."""
        if child.state == "stopping":
            self._stop(child, lambda _: self._start(child, done))
        elif child.has_process:
            self._later(done)("")
        else:
            self._start(child, done)

    def _start(self, child: Child, done: Callable[[str], None]) -> None:
        supervision = self._supervision

        def ended(error: str) -> None:
            if error and self._is_able and not child.has_process:
                logger.error("{} has not started, trying again: {}", child.spec.id, error)
                supervision.launcher.launch(child)  # now as often as its supervisor allows
            done(error)

        supervision.undertaker.release(child.spec)
        supervision.orders.start(child, Awaited(self._later(ended)))
        supervision.launcher.launch(child)

    def _later(self, done: Callable[[str], None]) -> Callable[[str], None]:
        """As a message of its own: who answers is in the middle of something."""
        return lambda error: self._mailbox.deliver(Errand(partial(done, error)))
