"""Sessions, checkpoints, files, trackers and supervisors as a synchronous program uses them.

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
from holdfast.actors.calls import Blocking, Runner, blocking
from holdfast.actors.checkpoint_calls import Checkpoint
from holdfast.actors.holdings import Hold, Holding
from holdfast.actors.renewals import Driver
from holdfast.actors.session_calls import Session

__all__ = [
    "Checkpoint",
    "HubCache",
    "HubCheckpoints",
    "HubFiles",
    "HubSessions",
    "HubSupervision",
    "HubTracker",
    "Session",
]


class HubSessions(Blocking):
    """``hub.sessions``."""

    def __init__(self, runner: Runner, driver: Driver) -> None:
        super().__init__(runner)
        self._driver = driver

    put = blocking(session_calls.put_session)
    put_many = blocking(session_calls.put_many_sessions)
    get = blocking(session_calls.get_session)
    get_many = blocking(session_calls.get_many_sessions)
    get_or_load = blocking(load_calls.load_session)
    touch = blocking(session_calls.touch_session)
    delete = blocking(session_calls.delete_session)
    end = blocking(session_calls.delete_session)
    append = blocking(session_calls.append_item)
    items = blocking(session_calls.read_items)
    claim = blocking(session_calls.claim_session)
    release = blocking(session_calls.release_session)
    list = blocking(session_calls.list_sessions)
    search = blocking(session_calls.search_sessions)
    ended = blocking(session_calls.ended_sessions)
    stats = blocking(session_calls.sessions_stats)

    def hold(
        self, id: str, *, lease: float = 30.0, holder: str | None = None, timeout: float = 30.0
    ) -> Holding:
        """A block in which the session does not become idle: ``with`` it; it gives the session.

        As long as this process lives and is not held up for ``lease`` seconds, which is when the
        hold ends otherwise.  Its maximum age ends it all the same.  Raises NoSessionError.
        """
        return Holding(self._runner, self._driver, Hold(id, lease, holder, timeout))


class HubCache(Blocking):
    """``hub.cache``: values that can be made again, in memory."""

    put = blocking(load_calls.put_cached)
    get = blocking(load_calls.get_cached)
    delete = blocking(load_calls.delete_cached)
    get_or_load = blocking(load_calls.load_cached)
    refresh = blocking(load_calls.refresh)


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
    create_daemon = blocking(daemon_checkpoint_calls.create_daemon_checkpoint)
    list_daemon = blocking(daemon_checkpoint_calls.list_daemon_checkpoints)
    restore_daemon = blocking(daemon_checkpoint_calls.restore_daemon_checkpoint)


class HubSupervision(Blocking):
    """``hub.supervision``."""

    which_children = blocking(supervision_calls.which_children)
    count_children = blocking(supervision_calls.count_children)
    start_child = blocking(supervision_calls.start_child)
    terminate_child = blocking(supervision_calls.terminate_child)
    restart_child = blocking(supervision_calls.restart_child)
    delete_child = blocking(supervision_calls.delete_child)
    reports = blocking(supervision_calls.reports)
    reload = blocking(supervision_calls.reload)
    swap = blocking(supervision_calls.swap)
    swaps = blocking(supervision_calls.swaps)
    cancel_swap = blocking(supervision_calls.cancel_swap)
    forget_swapped = blocking(supervision_calls.forget_swapped)


class HubFiles(Blocking):
    """``hub.files``."""

    append = blocking(file_calls.append_record)
    read = blocking(file_calls.read_records)
    export = blocking(file_calls.export_log)
    delete = blocking(file_calls.delete_log)
    list = blocking(file_calls.list_logs)
    put_result = blocking(file_calls.put_result)
    get_result = blocking(file_calls.get_result)
    delete_result = blocking(file_calls.delete_result)
    list_results = blocking(file_calls.list_results)
    stats = blocking(file_calls.files_stats)


class HubTracker(Blocking):
    """``hub.tracker``."""

    begin = blocking(tracker_calls.begin)
    update = blocking(tracker_calls.update)
    finish = blocking(tracker_calls.finish)
    fail = blocking(tracker_calls.fail)
    cancel = blocking(tracker_calls.cancel)
    get = blocking(tracker_calls.get)
    list = blocking(tracker_calls.list_requests)
    interrupted = blocking(tracker_calls.interrupted)
    take = blocking(tracker_calls.take)
    acquire = blocking(tracker_calls.acquire)
    limits = blocking(tracker_calls.limits)
    stats = blocking(tracker_calls.tracker_stats)
