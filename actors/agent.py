"""User agents: actors with a hub of their own, named in the config.

Lost when an agent's process dies: what it emitted and was not committed, unless it was before a
checkpoint.  Its next life finds the last checkpoint in ``self.restored``.
"""

from __future__ import annotations

from threading import Event
from typing import Any, Final, TypeVar

from loguru import logger

from holdfast.actors.checkpoint_calls import Checkpoint
from holdfast.actors.courier import Courier
from holdfast.actors.host import HostedActor, construct
from holdfast.actors.hub import Hub
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.barrier import Collect, Restore
from holdfast.actors.monitors import Monitor, begin
from holdfast.actors.plain import ProxyCall, decoder
from holdfast.actors.proxy import serve
from holdfast.actors.reactor import Timer
from holdfast.actors.ref import RemoteRef
from holdfast.actors.taking_part import enrol, take_part
from holdfast.errors import UnreachableError

__all__ = ["Agent", "construct_agent"]

A = TypeVar("A", bound="Agent")

ASK_AGAIN: Final = 0.2  # seconds, while the database does not answer
PLAIN: Final = frozenset((dict, list, str, int, float, bytes, bool, type(None)))


class Agent(HostedActor):
    """Subclass it, implement ``on_receive``, name the class in the config.

    Its messages are plain values: what msgspec encodes at the sender arrives as dicts, lists,
    text and numbers.  A handler may take minutes; it may ask other actors meanwhile.
    """

    hub: Hub
    name: str
    restored: Any = None  # the state of the last checkpoint, or None; set before on_start

    def ref(self, name: str) -> RemoteRef:
        """A reference to another actor by name: pykka's tell, ask and stop."""
        return RemoteRef(name, Courier(self.mailbox))

    def monitor(self, name: str, *, timeout: float = 30.0) -> Monitor:
        """Watch an actor's present life: its Down comes as a message, once, unless cancelled.

        Returns once the supervisor watches.  Without a life to watch the Down comes at once, its
        reason ``noproc``.  Lost with this agent's life: monitor again in ``on_start``.
        Raises AskTimeout, or what the supervisor refused with.
        """
        courier = Courier(self.mailbox)
        monitor = Monitor(name, courier, on_down=self.mailbox.deliver)
        begin(monitor, courier, timeout)
        return monitor

    def _handle_receive(self, message: Any) -> Any:
        # What nearly all messages are: nothing above knows these.
        if type(message) in PLAIN and self._holdfast_held is None:
            return self.on_receive(message)
        match message:
            case ProxyCall():
                self._stay_behind()
                return serve(self, Agent, message)
            case Collect() | Restore():
                self._stay_behind()
                return take_part(self, message)
            case Monitor(is_cancelled=True):  # since its Down waits here
                return None
            case Monitor():
                message = message.outcome()
        return super()._handle_receive(message)

    def after(self, delay: float, message: object) -> Timer:
        """Receive ``message`` from oneself in ``delay`` seconds."""
        return self.mailbox.after(delay, message)

    def checkpoint(self, state: object, *, timeout: float = 30.0) -> int:
        """Commit everything emitted before, then the state; the checkpoint's id.

        An agent that dies after this and has put the state to use neither skips nor repeats.
        """
        self.hub.flush(timeout=timeout)
        return self.hub.checkpoints.put(self.name, state, timeout=timeout)

    def on_collect(self) -> object:
        """Implement it to take part in checkpoints of the daemon: the state to keep there.

        It is asked between two messages.  What was emitted before is committed first.
        """
        raise NotImplementedError

    def on_restore(self, state: Any) -> None:
        """Take over what ``on_collect`` returned, since somebody restores that checkpoint."""
        raise NotImplementedError


def construct_agent(
    cls: type[A], *, mailbox: Mailbox, hub: Hub, name: str, options: dict[str, Any]
) -> A:
    """Make an agent with what its constructor may use already: hub, name, restored.

    ``options`` are its constructor's arguments.  Waits for the ``checkpoints`` actor, and for a
    database whose server does not answer, as long as the agent's supervisor does.
    """
    mailbox.hub_counters = hub.counters
    outgoing = mailbox.outgoing
    outgoing.nudge = lambda delay: hub._later(delay, lambda: outgoing.push(delay))
    courier = Courier(mailbox)
    mailbox.decode_with(decoder(courier), decoder(courier, many=True))
    last = _last_checkpoint(hub, name)
    given = {"hub": hub, "name": name, "restored": None if last is None else last.state}
    agent = construct(cls, mailbox=mailbox, given=given, **options)
    if cls.on_collect is not Agent.on_collect:
        enrol(agent)
    return agent


def _last_checkpoint(hub: Hub, name: str) -> Checkpoint | None:
    pause, is_told = Event(), False
    while True:
        try:
            return hub.checkpoints.get(name)
        except UnreachableError as error:
            if not is_told:
                logger.warning("{} waits for its last checkpoint: {}", name, error)
                is_told = True
            pause.wait(ASK_AGAIN)
