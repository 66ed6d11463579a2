"""Sessions, checkpoints and supervisors as an asyncio program uses them; keeps nothing."""

from __future__ import annotations

from holdfast.actors import checkpoint_calls, checkpoint_keeping, session_calls, supervision_calls
from holdfast.actors.calls import Awaited, awaited

__all__ = ["Checkpoints", "Sessions", "Supervision"]


class Sessions(Awaited):
    """``hub.sessions``."""

    put = awaited(session_calls.put_session)
    get = awaited(session_calls.get_session)
    touch = awaited(session_calls.touch_session)
    delete = awaited(session_calls.delete_session)


class Checkpoints(Awaited):
    """``hub.checkpoints``."""

    put = awaited(checkpoint_calls.put_checkpoint)
    get = awaited(checkpoint_calls.get_checkpoint)
    list = awaited(checkpoint_calls.list_checkpoints)
    claim = awaited(checkpoint_calls.claim_thread)
    infos = awaited(checkpoint_keeping.list_infos)
    history = awaited(checkpoint_keeping.checkpoint_history)
    threads = awaited(checkpoint_keeping.checkpoint_threads)
    fork = awaited(checkpoint_keeping.fork_checkpoint)
    pin = awaited(checkpoint_keeping.pin_checkpoint)
    unpin = awaited(checkpoint_keeping.unpin_checkpoint)
    prune = awaited(checkpoint_keeping.prune_checkpoints)


class Supervision(Awaited):
    """``hub.supervision``."""

    which_children = awaited(supervision_calls.which_children)
    count_children = awaited(supervision_calls.count_children)
    start_child = awaited(supervision_calls.start_child)
    terminate_child = awaited(supervision_calls.terminate_child)
    restart_child = awaited(supervision_calls.restart_child)
    delete_child = awaited(supervision_calls.delete_child)
    reports = awaited(supervision_calls.reports)
