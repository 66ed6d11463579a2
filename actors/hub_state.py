"""Sessions, checkpoints and supervisors as a synchronous program uses them; keeps nothing."""

from __future__ import annotations

from holdfast.actors import checkpoint_calls, checkpoint_keeping, session_calls, supervision_calls
from holdfast.actors.calls import Blocking, blocking
from holdfast.actors.checkpoint_calls import Checkpoint
from holdfast.actors.session_calls import Session

__all__ = ["Checkpoint", "HubCheckpoints", "HubSessions", "HubSupervision", "Session"]


class HubSessions(Blocking):
    """``hub.sessions``."""

    put = blocking(session_calls.put_session)
    get = blocking(session_calls.get_session)
    touch = blocking(session_calls.touch_session)
    delete = blocking(session_calls.delete_session)


class HubCheckpoints(Blocking):
    """``hub.checkpoints``."""

    put = blocking(checkpoint_calls.put_checkpoint)
    get = blocking(checkpoint_calls.get_checkpoint)
    list = blocking(checkpoint_calls.list_checkpoints)
    claim = blocking(checkpoint_calls.claim_thread)
    infos = blocking(checkpoint_keeping.list_infos)
    history = blocking(checkpoint_keeping.checkpoint_history)
    threads = blocking(checkpoint_keeping.checkpoint_threads)
    fork = blocking(checkpoint_keeping.fork_checkpoint)
    pin = blocking(checkpoint_keeping.pin_checkpoint)
    unpin = blocking(checkpoint_keeping.unpin_checkpoint)
    prune = blocking(checkpoint_keeping.prune_checkpoints)


class HubSupervision(Blocking):
    """``hub.supervision``."""

    which_children = blocking(supervision_calls.which_children)
    count_children = blocking(supervision_calls.count_children)
    start_child = blocking(supervision_calls.start_child)
    terminate_child = blocking(supervision_calls.terminate_child)
    restart_child = blocking(supervision_calls.restart_child)
    delete_child = blocking(supervision_calls.delete_child)
    reports = blocking(supervision_calls.reports)
