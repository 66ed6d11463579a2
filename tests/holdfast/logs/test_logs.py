"""Log records become events without ever waiting, raising or recursing."""

from __future__ import annotations

import logging
import logging.handlers
import os
import select
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import loguru
import pytest

from holdfast.actors.background import THREAD
from holdfast.actors.hub import Hub
from holdfast.errors import ExpiredError
from holdfast.logs import Handler, Sink
from tests.commandline import environment
from tests.daemon import TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT
from tests.holdfast.logs.conftest import events

LONGEST = 1.0  # seconds one call may take: a bound on failure, on a machine that does other things
LARGE = "x" * 60_000  # the outbox takes about 1,100 of these
MANY = 1_500


@pytest.fixture(params=[pytest.param("logging", marks=pytest.mark.slow), "loguru"])
def outlet(request: pytest.FixtureRequest) -> Handler | Sink:
    """Both, one after the other."""
    name = "handler" if request.param == "logging" else "loguru_sink"
    made: Handler | Sink = request.getfixturevalue(name)
    return made


@pytest.fixture
def info(outlet: Handler | Sink, log: logging.Logger) -> Callable[[str], object]:
    """Log a text through the outlet."""
    if isinstance(outlet, Handler):
        return log.warning
    return loguru.logger.opt(colors=False).warning


def reported(hub: Hub) -> int:
    return sum(event.data["dropped"] for event in events(hub, "log:dropped"))


def wait_until_reported(daemon: Daemon, hub: Hub, outlet: Handler | Sink) -> None:
    daemon.until(lambda: reported(hub) == outlet.dropped)


def longest_call(log: Callable[[str], object], message: str, times: int) -> float:
    """Seconds that the longest of these calls took."""
    longest = 0.0
    for _ in range(times):
        before = time.monotonic()
        log(message)
        longest = max(longest, time.monotonic() - before)
    return longest


@contextmanager
def held_elsewhere(lock: AbstractContextManager[object]) -> Iterator[None]:
    """Another thread holds the lock meanwhile."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(TIMEOUT)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(TIMEOUT)
    try:
        yield
    finally:
        done.set()
        thread.join(TIMEOUT)


# -- never raising --------------------------------------------------------------------------------


def test_a_message_that_does_not_fit_its_arguments_goes_to_handle_error_and_is_stored(
    hub: Hub, handler: Handler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "handleError", failed.append)
    log.info("%d and %d", "one")
    assert [record.msg for record in failed] == ["%d and %d"]
    assert events(hub)[0].data["message"] == "%d and %d"
    assert handler.dropped == 0


def test_a_record_that_cannot_be_an_event_is_counted_and_goes_to_handle_error(
    hub: Hub, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[logging.LogRecord] = []
    monkeypatch.setattr(handler, "handleError", failed.append)
    handler.handle(logging.makeLogRecord({"msg": "no time", "created": None}))
    assert len(failed) == handler.dropped == 1


@pytest.mark.parametrize("how", ["close", "abandon", "refused"])
def test_records_for_a_hub_that_is_gone_are_dropped_and_counted(
    hub: Hub, outlet: Handler | Sink, info: Callable[[str], object], how: str
) -> None:
    info("stored")
    hub.flush(timeout=TIMEOUT)
    if how == "close":
        hub.close()
    elif how == "abandon":
        hub.abandon()
    else:
        with pytest.raises(ExpiredError):
            hub.events._link.refuse(ExpiredError("forgotten"))
    for _ in range(3):
        info("dropped")
    assert outlet.dropped == 3


def test_a_closed_handler_leaves_the_hub_open(
    hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    handler.close()
    log.info("late")
    handler.close()
    assert events(hub)[0].data["message"] == "late"


def test_records_in_a_fork_are_dropped_and_counted(
    hub: Hub, outlet: Handler | Sink, info: Callable[[str], object]
) -> None:
    """Also when another thread held every lock of ours at the moment of the fork."""
    with held_elsewhere(hub._driver._lock), held_elsewhere(outlet._outlet._lock):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads are the point
            child = os.fork()
        if child == 0:
            try:
                info("one")
                info("two")
            finally:
                os._exit(outlet.dropped)
    watch = os.pidfd_open(child)
    try:
        ended = select.select([watch], [], [], TIMEOUT)[0]
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(watch)
    assert ended, "the fork hangs"
    assert os.waitstatus_to_exitcode(status) == 2
    assert outlet.dropped == 0


# -- never recursing ------------------------------------------------------------------------------


def test_what_is_logged_while_sending_is_dropped_and_counted(
    daemon: Daemon, hub: Hub, handler: Handler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit = hub.events.emit
    pykka_log = logging.Logger("pykka")
    pykka_log.addHandler(handler)

    def emit_and_log(*args: Any, **kwargs: Any) -> None:
        pykka_log.info("about the sending: neither stored nor counted")
        log.info("sending")
        emit(*args, **kwargs)

    monkeypatch.setattr(hub.events, "emit", emit_and_log)
    log.info("first")
    wait_until_reported(daemon, hub, handler)
    assert [event.data["message"] for event in events(hub, "log:info")] == ["first"]
    assert handler.dropped == 1


def test_a_handler_and_a_sink_that_log_into_each_other_end(
    daemon: Daemon,
    hub: Hub,
    handler: Handler,
    loguru_sink: Sink,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emit = hub.events.emit

    def emit_and_log(*args: Any, **kwargs: Any) -> None:
        log.info("sending")
        emit(*args, **kwargs)

    monkeypatch.setattr(hub.events, "emit", emit_and_log)
    loguru.logger.info("first")
    wait_until_reported(daemon, hub, handler)
    messages = [event.data["message"] for event in events(hub, "log:info")]
    assert sorted(messages) == ["first", "sending"]
    assert handler.dropped == 1
    assert loguru_sink.dropped == 0


def test_a_value_that_logs_when_it_is_printed_does_not_loop(
    daemon: Daemon, hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    class Chatty:
        def __str__(self) -> str:
            log.info("printed %s", self)
            return "chatty"

    log.info("value %s", Chatty())
    wait_until_reported(daemon, hub, handler)
    assert [event.data["message"] for event in events(hub, "log:info")] == ["value chatty"]
    assert handler.dropped == 1


def test_records_of_holdfast_and_of_the_thread_that_sends_are_no_events(
    hub: Hub, handler: Handler, loguru_sink: Sink
) -> None:
    def rename(record: loguru.Record) -> None:
        record["name"] = "holdfast.actors.log"

    inner = logging.Logger("holdfast.actors.link")
    inner.addHandler(handler)
    inner.error("about a link")
    loguru.logger.patch(rename).error("about a log")
    for name in (THREAD, "holdfast-logs"):
        done = threading.Thread(target=loguru.logger.error, args=("from inside",), name=name)
        done.start()
        done.join(TIMEOUT)
        handler.handle(logging.makeLogRecord({"msg": "from inside", "threadName": name}))
    assert events(hub) == []
    assert handler.dropped == loguru_sink.dropped == 0


def test_a_thread_that_logs_in_the_middle_of_the_hub_does_not_enter_it_again(
    daemon: Daemon, hub: Hub, outlet: Handler | Sink, info: Callable[[str], object]
) -> None:
    """As a signal handler or ``__del__`` does."""
    with hub._driver._lock:
        info("inside")
        assert outlet.dropped == 1
    wait_until_reported(daemon, hub, outlet)
    assert events(hub, "log:warning") == []


# -- never blocking -------------------------------------------------------------------------------


def test_a_thread_that_stays_in_the_hub_does_not_block_logging(
    daemon: Daemon, hub: Hub, outlet: Handler | Sink, info: Callable[[str], object]
) -> None:
    with held_elsewhere(hub._driver._lock):
        assert longest_call(info, "waits", 3) < LONGEST
    wait_until_reported(daemon, hub, outlet)
    assert outlet.dropped == 3


def test_logging_never_waits_for_a_stopped_log_and_what_is_dropped_is_counted_and_reported(
    daemon: Daemon, hub: Hub, outlet: Handler | Sink, info: Callable[[str], object]
) -> None:
    pid = daemon.pid("log")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert longest_call(info, LARGE, MANY) < LONGEST
        assert outlet.dropped > 0
    finally:
        with suppress(ProcessLookupError):  # it may have been found to hang, and killed
            os.kill(pid, signal.SIGCONT)
    wait_until_reported(daemon, hub, outlet)  # without another record
    assert len(events(hub, "log:warning")) + outlet.dropped == MANY
    info("after")
    assert [event.data["message"] for event in events(hub)[-1:]] == ["after"]
    assert events(hub, "log:dropped")[-1].data["total"] == outlet.dropped


@pytest.mark.usefixtures("alone")
def test_logging_never_waits_for_a_killed_daemon(
    daemon: Daemon, hub: Hub, outlet: Handler | Sink, info: Callable[[str], object]
) -> None:
    info("before")
    hub.flush(timeout=TIMEOUT)
    daemon.process.kill()
    daemon.process.wait(TIMEOUT)
    assert longest_call(info, LARGE, MANY) < LONGEST
    assert outlet.dropped > 0
    daemon.restart()
    wait_until_reported(daemon, hub, outlet)
    assert hub.events.count(types="log:warning") + outlet.dropped == MANY + 1


def test_records_of_several_threads_are_stored_or_counted_and_each_thread_in_order(
    daemon: Daemon, hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    def run(thread: int) -> None:
        for n in range(500):
            log.info("%d", n, extra={"session": f"t{thread}"})

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    daemon.kill("log")
    for thread in threads:
        thread.join(TIMEOUT)
    stored = 0
    for n in range(4):
        found = [
            int(event.data["message"])
            for event in events(hub, "log:info")
            if event.session == f"t{n}"
        ]
        assert found == sorted(set(found))
        stored += len(found)
    assert stored + handler.dropped == 2_000


# -- the page -------------------------------------------------------------------------------------


def test_the_example_of_the_page_runs(daemon: Daemon) -> None:
    page = (ROOT / "docs" / "LOGGING.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=daemon.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "log:warning 91 % full {'disk': 'sda'}",
        "log:info retrying {'attempt': 2}",
    ]
