"""Sessions, checkpoints, files, trackers and supervisors as an asyncio program uses them.

Keeps nothing.
"""

from __future__ import annotations

from holdfast.actors import (
    checkpoint_calls,
    checkpoint_keeping,
    daemon_checkpoint_calls,
    file_calls,
    load_calls,
    session_calls,
    supervision_calls,
    tracker_calls,
)
from holdfast.actors.calls import Awaited, awaited
from holdfast.actors.holdings import AsyncHolding, Hold
from holdfast.actors.looped import LoopDriver

__all__ = [
    "Cache",
    "Checkpoints",
    "Files",
    "Sessions",
    "Supervision",
    "Tracker",
]


class Sessions(Awaited):
    """``hub.sessions``."""

    def __init__(self, driver: LoopDriver) -> None:
        super().__init__(driver)
        self._driver = driver

    put = awaited(session_calls.put_session)
    put_many = awaited(session_calls.put_many_sessions)
    get = awaited(session_calls.get_session)
    get_many = awaited(session_calls.get_many_sessions)
    get_or_load = awaited(load_calls.load_session)
    touch = awaited(session_calls.touch_session)
    delete = awaited(session_calls.delete_session)
    end = awaited(session_calls.delete_session)
    append = awaited(session_calls.append_item)
    items = awaited(session_calls.read_items)
    claim = awaited(session_calls.claim_session)
    release = awaited(session_calls.release_session)
    list = awaited(session_calls.list_sessions)
    search = awaited(session_calls.search_sessions)
    ended = awaited(session_calls.ended_sessions)
    stats = awaited(session_calls.sessions_stats)

    def hold(
        self, id: str, *, lease: float = 30.0, holder: str | None = None, timeout: float = 30.0
    ) -> AsyncHolding:
        """A block in which the session does not become idle: ``async with``; it gives the session.

        As long as this process lives and its loop is not held up for ``lease`` seconds, which is
        when the hold ends otherwise.  Its maximum age ends it all the same.  Raises
        NoSessionError.
        """
        return AsyncHolding(self._runner, self._driver, Hold(id, lease, holder, timeout))


class Cache(Awaited):
    """``hub.cache``: values that can be made again, in memory."""

    put = awaited(load_calls.put_cached)
    get = awaited(load_calls.get_cached)
    delete = awaited(load_calls.delete_cached)
    get_or_load = awaited(load_calls.load_cached)
    refresh = awaited(load_calls.refresh)


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
    create_daemon = awaited(daemon_checkpoint_calls.create_daemon_checkpoint)
    list_daemon = awaited(daemon_checkpoint_calls.list_daemon_checkpoints)
    restore_daemon = awaited(daemon_checkpoint_calls.restore_daemon_checkpoint)


class Supervision(Awaited):
    """``hub.supervision``."""

    which_children = awaited(supervision_calls.which_children)
    count_children = awaited(supervision_calls.count_children)
    start_child = awaited(supervision_calls.start_child)
    terminate_child = awaited(supervision_calls.terminate_child)
    restart_child = awaited(supervision_calls.restart_child)
    delete_child = awaited(supervision_calls.delete_child)
    reports = awaited(supervision_calls.reports)
    reload = awaited(supervision_calls.reload)
    swap = awaited(supervision_calls.swap)
    swaps = awaited(supervision_calls.swaps)
    cancel_swap = awaited(supervision_calls.cancel_swap)
    forget_swapped = awaited(supervision_calls.forget_swapped)


class Files(Awaited):
    """``hub.files``."""

    append = awaited(file_calls.append_record)
    read = awaited(file_calls.read_records)
    export = awaited(file_calls.export_log)
    delete = awaited(file_calls.delete_log)
    list = awaited(file_calls.list_logs)
    put_result = awaited(file_calls.put_result)
    get_result = awaited(file_calls.get_result)
    delete_result = awaited(file_calls.delete_result)
    list_results = awaited(file_calls.list_results)
    stats = awaited(file_calls.files_stats)


class Tracker(Awaited):
    """``hub.tracker``."""

    begin = awaited(tracker_calls.begin)
    update = awaited(tracker_calls.update)
    finish = awaited(tracker_calls.finish)
    fail = awaited(tracker_calls.fail)
    cancel = awaited(tracker_calls.cancel)
    get = awaited(tracker_calls.get)
    list = awaited(tracker_calls.list_requests)
    interrupted = awaited(tracker_calls.interrupted)
    take = awaited(tracker_calls.take)
    acquire = awaited(tracker_calls.acquire)
    limits = awaited(tracker_calls.limits)
    stats = awaited(tracker_calls.tracker_stats)
