"""What a log record says is what its event says, whatever is in the record."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import time
from pathlib import Path
from typing import Any

import loguru

from holdfast.actors.hub import Hub
from holdfast.logs import Handler, Sink
from tests.holdfast.logs.conftest import events


def data(hub: Hub) -> dict[str, Any]:
    """The data of the only record there is."""
    (event,) = events(hub)
    assert isinstance(event.data, dict)
    return event.data


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_a_record_of_logging_becomes_an_event(
    hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    before = time.time_ns() // 1000
    log.warning("%d %% full", 91, extra={"session": "s1", "correlation": "c1", "disk": "sda"})
    (event,) = events(hub)
    assert (event.type, event.source) == ("log:warning", "test")
    assert (event.session, event.correlation) == ("s1", "c1")
    assert before - 1000 <= event.time_us <= time.time_ns() // 1000
    line = event.data.pop("line")
    assert line == test_a_record_of_logging_becomes_an_event.__code__.co_firstlineno + 4
    assert event.data == {
        "message": "91 % full",
        "logger": "shop.till",
        "level": "WARNING",
        "module": "test_log_records",
        "function": "test_a_record_of_logging_becomes_an_event",
        "extra": {"disk": "sda"},
    }
    assert handler.dropped == 0


def test_a_record_of_loguru_becomes_an_event(hub: Hub, loguru_sink: Sink) -> None:
    before = time.time_ns() // 1000
    loguru.logger.bind(session="s1", correlation=7, disk="sda").success("{} % full", 91)
    (event,) = events(hub)
    assert (event.type, event.session, event.correlation) == ("log:success", "s1", "7")
    assert before - 1000 <= event.time_us <= time.time_ns() // 1000
    first_line = test_a_record_of_loguru_becomes_an_event.__code__.co_firstlineno
    assert event.data.pop("line") == first_line + 2
    assert event.data == {
        "message": "91 % full",
        "logger": __name__,
        "level": "SUCCESS",
        "module": "test_log_records",
        "function": "test_a_record_of_loguru_becomes_an_event",
        "extra": {"disk": "sda"},
    }


def test_a_record_keeps_its_exception_as_text(
    hub: Hub, handler: Handler, log: logging.Logger, loguru_sink: Sink
) -> None:
    try:
        raise LookupError("gone")
    except LookupError:
        log.exception("failed")
        loguru.logger.exception("failed")
    for event in events(hub):
        assert event.type == "log:error"
        assert event.data["message"] == "failed"
        assert event.data["exception"].startswith("Traceback (most recent call last):\n")
        assert event.data["exception"].endswith("LookupError: gone\n")
        assert "test_a_record_keeps_its_exception_as_text" in event.data["exception"]
    assert handler.dropped == loguru_sink.dropped == 0


def test_an_exception_without_text_is_still_an_event(
    hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    class BadError(Exception):
        __str__ = Unprintable.__str__

    try:
        raise BadError
    except BadError:
        log.exception("failed")
    log.exception("no exception here")
    first, second = events(hub)
    assert "BadError" in first.data["exception"]
    assert "exception" not in second.data


def test_records_that_came_through_a_queue_keep_their_exception(
    hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    first = logging.Logger("first")
    first.addHandler(logging.handlers.QueueHandler(waiting))
    try:
        raise LookupError("gone")
    except LookupError:
        first.exception("failed", stack_info=True)
    handler.handle(waiting.get_nowait())
    assert "LookupError: gone" in data(hub)["message"] + data(hub).get("exception", "")


def test_extra_fields_become_what_json_can_hold(
    hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    cycle: list[object] = [1]
    cycle.append(cycle)
    extra = {
        "path": Path("/tmp/a"),
        "nan": float("nan"),
        "giant": 10**5_000,
        "large": 2**64,
        "bytes": b"\x00\xff",
        "set": {3},
        "keys": {1: "one", None: "none"},
        "error": LookupError("gone"),
        "unprintable": Unprintable(),
        "surrogate": "a\udc80",
        "cycle": cycle,
        "many": list(range(1_000)),
    }
    log.info("extras", extra=extra)
    found = data(hub)["extra"]
    cycle_found, many = found.pop("cycle"), found.pop("many")
    assert found == {
        "path": "/tmp/a",
        "nan": "nan",
        "giant": "<int: ValueError>",
        "large": str(2**64),
        "bytes": b"\x00\xff",
        "set": [3],
        "keys": {"1": "one", "None": "none"},
        "error": "LookupError('gone')",
        "unprintable": "<Unprintable: RuntimeError>",
        "surrogate": "a\\udc80",
    }
    assert cycle_found[0] == 1
    assert many[:3] == [0, 1, 2]
    assert many[-1] == f"... {1_000 - (len(many) - 1)} left out"
    assert handler.dropped == 0


def test_extra_fields_of_loguru_become_what_json_can_hold(hub: Hub, loguru_sink: Sink) -> None:
    loguru.logger.bind(path=Path("/tmp/a"), unprintable=Unprintable(), session="").info("extras")
    (event,) = events(hub)
    assert event.session is None
    assert event.data["extra"] == {
        "path": "/tmp/a",
        "unprintable": "<Unprintable: RuntimeError>",
    }


def test_a_record_that_is_too_large_loses_its_middle_and_then_its_extra_fields(
    hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    log.info("start%send", "x" * 3_000_000)
    assert data(hub)["message"].startswith("startxx")
    assert data(hub)["message"].endswith("xxend")
    assert "characters left out" in data(hub)["message"]
    log.info("many", extra={"texts": ["\1" * 8_000] * 200})
    last = events(hub)[-1].data
    assert last["message"] == "many"
    assert "extra" not in last
    assert "1048576" in last["left_out"]
    assert handler.dropped == 0


def test_names_that_events_refuse_are_made_to_fit(
    hub: Hub, handler: Handler, log: logging.Logger
) -> None:
    log.log(15, "level", extra={"session": "s\0" + "x" * 2_000})
    (event,) = events(hub)
    assert event.type == "log:level-15"
    assert event.session == "s" + "x" * 1_023
