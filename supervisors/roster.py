"""Who the children of a supervisor are: those of its spec, and those that messages added.

Owns the list and the addresses of what was added; lost with the supervisor, whose next life has
the children of its spec again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from holdfast.actors.mailbox import Mailbox
from holdfast.errors import ChildError
from holdfast.supervisors.children import Child
from holdfast.supervisors.limits import free_descriptors
from holdfast.supervisors.listeners import Listeners
from holdfast.supervisors.output import Output
from holdfast.supervisors.restart_limits import RestartLimits
from holdfast.supervisors.settings import Shutdown
from holdfast.supervisors.spec import (
    MAX_DESCENDANTS,
    ChildSpec,
    SupervisorSpec,
    stop_budget,
)
from holdfast.supervisors.undertaker import Undertaker
from holdfast.supervisors.watches import unknown

__all__ = ["Roster"]

RESERVE: Final = 32  # descriptors kept for the restarts of those that are there


class Roster:
    """``children`` are in start order; others hold the same mapping and see it change."""

    def __init__(
        self,
        *,
        name: str,
        spec: SupervisorSpec,
        mailbox: Mailbox,
        limits: RestartLimits,
        listeners: Listeners,
        output: Output,
        undertaker: Undertaker,
        tell_below: Callable[[dict[str, str], Shutdown], None],
        held: Collection[str] = (),
    ) -> None:
        """``tell_below`` takes the supervisors of all children that were added, here and below.

        And what the children may take to stop.  ``held`` are not to be started now.
        """
        self._name = name
        self._spec = spec
        self._mailbox = mailbox
        self._limits = limits
        self._listeners = listeners
        self._output = output
        self._undertaker = undertaker
        self._tell_below = tell_below
        self.held = frozenset(held)
        self._starts = 0  # the most of any child that is none any more
        self.children: dict[str, Child] = {}
        for child in spec.children:
            self.children[child.id] = self._child(child, is_added=False)

    def adopt(self, spec: SupervisorSpec, held: Collection[str]) -> None:
        """Whose children are the supervisor's own; the list itself does not change by that."""
        self._spec, self.held = spec, frozenset(held)

    @property
    def startable(self) -> list[Child]:
        """All but those that are held."""
        return [child for child in self.children.values() if child.spec.id not in self.held]

    def add(self, spec: ChildSpec) -> Child:
        """Another child, without a process yet, for this life.  Raises ChildError."""
        return self._enter(spec, is_added=True)

    def take_in(self, spec: ChildSpec) -> Child:
        """Another child of the supervisor's own, without a process yet.  Raises ChildError.

        Its name is nobody else's: the root has seen to that.  Where somebody still listens under
        it, that is for one who was a child elsewhere, and is no more.
        """
        self.claim(None, {spec.id, *spec.below})
        return self._enter(spec, is_added=False)

    def claim(self, keeper: Child | None, names: set[str]) -> None:
        """From now on these are names below ``keeper``, or here; whose they were does not count."""
        for child in self.children.values():
            if child is not keeper:
                stale = child.unlisted & names
                child.unlisted -= stale
                self._listeners.ensure((), without=stale)

    def let_go(self, names: Collection[str]) -> None:
        """Answer no more for who has become a child elsewhere; ``names`` are all of the tree."""
        ours = set()
        for child in self._spec.children:
            ours.add(child.id)
            if self._undertaker.answers_for(child.id):
                ours.update(child.below)
        for name in set(names) - ours:
            if self._undertaker.answers_for(name):
                self._undertaker.forget(name)
                self._listeners.ensure((), without=[name])

    @property
    def added_below(self) -> dict[str, str]:
        """The children that messages have added, here and below, and whose they are."""
        added = {child.spec.id: self._name for child in self.children.values() if child.is_added}
        for child in self.children.values():
            added |= child.dynamic
        return added

    def put_in_order(self) -> None:
        """Those of the spec in its order, then the others."""
        rest = dict(self.children)
        listed = {child.id: rest.pop(child.id) for child in self._spec.children if child.id in rest}
        self.children.clear()
        self.children.update(listed | rest)

    def _enter(self, spec: ChildSpec, *, is_added: bool) -> Child:
        if (known := self.children.get(spec.id)) is not None:
            raise ChildError(spec.id, "already_started" if known.has_process else "already_present")
        if spec.significant and self._spec.auto_shutdown == "never":
            raise ChildError(spec.id, 'cannot be significant where auto_shutdown = "never"')
        if len(self.children) >= MAX_DESCENDANTS or free_descriptors() < RESERVE:
            raise ChildError(spec.id, "too_many")
        for name in (spec.id, *spec.below):
            if self._is_taken(name, is_ours=not is_added):
                raise ChildError(name, "name_taken")
        self._undertaker.release(spec)
        if spec.id not in self._listeners.sockets:
            self._listeners.open([spec.id])
        child = self.children[spec.id] = self._child(spec, is_added=is_added)
        self.tell_below()
        return child

    def discard(self, child: Child) -> None:
        """One that never was ready: nobody is told that it is gone, its name is free again."""
        if not self._listeners.is_own(child.spec.id):
            self.remove(child)
            return
        self._let_go(child)
        child.evidence.close()
        self._listeners.ensure((), without=(child.spec.id, *child.spec.below))
        self.tell_below()

    def remove(self, child: Child, how: str | None = None) -> None:
        """It is no child any more: its address answers that it is gone."""
        self._let_go(child)
        self._undertaker.take_over(child, how)
        if child.is_added:
            # The address of one that its parent's config names is its parent's.
            if self._listeners.is_own(child.spec.id):
                self._undertaker.forget_in_time(child.spec.id)
            self.tell_below()

    def _let_go(self, child: Child) -> None:
        """Another child of its name is another sender: its lives are numbered on from here."""
        del self.children[child.spec.id]
        self._listeners.ports.drop(child.spec.id)
        self._starts = max(self._starts, child.starts)

    def tell_below(self) -> None:
        """What was added, here or below, has changed."""
        self._tell_below(self.added_below, self.stop_budget)

    @property
    def stop_budget(self) -> Shutdown:
        """Seconds that all there are now may take to stop, one after the other, and one more."""
        return stop_budget(child.shutdown for child in self.children.values())

    def supervisor_of(self, name: str) -> str:
        """Whose child ``name`` is; this one counts as its own.  Raises UnknownActorError."""
        if name == self._name or name in self.children:
            return self._name
        for child in self.children.values():
            if name in child.dynamic:
                return child.dynamic[name]
        found = self._spec.supervisor_of(name, here=self._name)
        if found is None:
            raise unknown(name)
        return found

    def _is_taken(self, name: str, *, is_ours: bool) -> bool:
        """Whether another actor has that name; one that is gone for good has let go of it."""
        if name not in self._listeners.sockets:
            return not is_ours and self._listeners.is_taken(name)
        # Of a child that is gone, which may come back, those below it.
        below = [child.spec.run for child in self.children.values() if child.spec.is_supervisor]
        return not self._undertaker.answers_for(name) or any(
            name in spec.descendants() for spec in below if isinstance(spec, SupervisorSpec)
        )

    def _child(self, spec: ChildSpec, *, is_added: bool) -> Child:
        backoff = self._limits.backoff()
        child = Child(
            spec,
            backoff=backoff,
            mailbox=self._mailbox,
            output=self._output,
            is_added=is_added,
        )
        child.starts = child.before = self._starts
        return child
