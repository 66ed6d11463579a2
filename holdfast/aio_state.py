"""Sessions, checkpoints, files, trackers and supervisors as an asyncio program uses them.

Keeps nothing.
"""

from __future__ import annotations

from holdfast.actors import (
    checkpoint_calls,
    file_calls,
    session_calls,
    supervision_calls,
    tracker_calls,
)
from holdfast.actors.calls import Awaited, awaited

__all__ = ["Checkpoints", "Files", "Sessions", "Supervision", "Tracker"]


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


class Supervision(Awaited):
    """``hub.supervision``."""

    which_children = awaited(supervision_calls.which_children)
    count_children = awaited(supervision_calls.count_children)
    start_child = awaited(supervision_calls.start_child)
    terminate_child = awaited(supervision_calls.terminate_child)
    restart_child = awaited(supervision_calls.restart_child)
    delete_child = awaited(supervision_calls.delete_child)
    reports = awaited(supervision_calls.reports)


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
