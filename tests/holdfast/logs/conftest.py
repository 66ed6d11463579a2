"""A daemon, and a logger whose records go to it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from weakref import WeakKeyDictionary

import loguru
import pytest

import holdfast
from holdfast.actors.hub import Event, Hub
from holdfast.logs import Handler, Sink, sink
from tests.daemon import TIMEOUT, Daemon


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("shared")) as daemon:
        yield daemon


@pytest.fixture
def alone() -> None:
    """For a test that ends its daemon."""


@pytest.fixture
def daemon(shared: Daemon, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    if "alone" in request.fixturenames:
        with Daemon(tmp_path) as daemon:
            yield daemon
    else:
        with shared.lent() as daemon:
            yield daemon


# The last event before a hub's test.
_since: WeakKeyDictionary[Hub, int] = WeakKeyDictionary()


@pytest.fixture
def hub(daemon: Daemon) -> Iterator[Hub]:
    hub = holdfast.connect(daemon.run_dir, source="test")
    _since[hub] = daemon.since
    yield hub
    hub.abandon()


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger of the standard library; its handlers are closed after the test."""
    log = logging.Logger("shop.till")
    yield log
    for handler in log.handlers:
        handler.close()


@pytest.fixture
def handler(hub: Hub, log: logging.Logger) -> Handler:
    handler = Handler(hub)
    log.addHandler(handler)
    return handler


@pytest.fixture
def loguru_sink(hub: Hub) -> Iterator[Sink]:
    made = sink(hub)
    number = loguru.logger.add(made, diagnose=False, catch=False)
    yield made
    with suppress(ValueError):  # the test has removed it
        loguru.logger.remove(number)


def events(hub: Hub, types: str = "log:*") -> list[Event]:
    """Those of this test."""
    hub.flush(timeout=TIMEOUT)
    after = _since[hub]
    return hub.events.query(types=types, after=after, limit=10_000, timeout=TIMEOUT)
