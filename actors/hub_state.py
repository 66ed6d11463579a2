"""Sessions and checkpoints as a synchronous program uses them; nothing is kept here."""

from __future__ import annotations

from holdfast.actors import state_calls
from holdfast.actors.calls import Blocking, blocking
from holdfast.actors.state_calls import Checkpoint, Session

__all__ = ["Checkpoint", "HubCheckpoints", "HubSessions", "Session"]


class HubSessions(Blocking):
    """``hub.sessions``."""

    put = blocking(state_calls.put_session)
    get = blocking(state_calls.get_session)
    touch = blocking(state_calls.touch_session)
    delete = blocking(state_calls.delete_session)


class HubCheckpoints(Blocking):
    """``hub.checkpoints``."""

    put = blocking(state_calls.put_checkpoint)
    get = blocking(state_calls.get_checkpoint)
    list = blocking(state_calls.list_checkpoints)
