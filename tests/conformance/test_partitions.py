"""B7: packets to and from the server are dropped, which no refused connection tells of.

In a network namespace of the server's own, joined to this one by a pair of interfaces: needs root.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.errors import UnreachableError
from tests.conformance.servers import PostgresqlServer, running_postgresql
from tests.conformance.test_lost_servers import config_of
from tests.daemon import TIMEOUT, Daemon

# Seconds of real time: the kernel's own timeouts are what is looked at.
pytestmark = pytest.mark.slow

USER_TIMEOUT = 5.0  # seconds, as in the DSN's defaults
ENDS_WITHIN = USER_TIMEOUT + 1.5
PORT = 54_321


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


class Line:
    """The two ends of a line: ``here`` and ``there``, where the server is."""

    def __init__(self) -> None:
        number = os.getpid() % 250
        self.namespace = f"hfpg{os.getpid()}"
        self.here, self.there = f"10.213.{number}.1", f"10.213.{number}.2"
        name = f"hf{os.getpid()}"
        _ip("netns", "add", self.namespace)
        _ip("link", "add", f"{name}a", "type", "veth", "peer", f"{name}b", "netns", self.namespace)
        _ip("addr", "add", f"{self.here}/30", "dev", f"{name}a")
        _ip("link", "set", f"{name}a", "up")
        for command in (f"addr add {self.there}/30 dev {name}b", f"link set {name}b up"):
            _ip("-n", self.namespace, *command.split())

    def cut(self) -> None:
        """What the server sends goes nowhere: no acknowledgement comes, and no refusal."""
        _ip("-n", self.namespace, "route", "add", "blackhole", f"{self.here}/32")

    def mend(self) -> None:
        """It goes again."""
        _ip("-n", self.namespace, "route", "del", "blackhole", f"{self.here}/32")

    def close(self) -> None:
        """With the namespace both ends go."""
        _ip("netns", "del", self.namespace)


@pytest.fixture
def line() -> Iterator[Line]:
    if os.getuid() != 0:
        pytest.skip("only root can make a network namespace")
    try:
        line = Line()
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    yield line
    line.close()


@pytest.fixture
def server(line: Line) -> Iterator[PostgresqlServer]:
    with running_postgresql(namespace=line.namespace, port=PORT, address=line.there) as server:
        yield server


@pytest.mark.parametrize("outage", ["fail", "wait"])
def test_a_partition_ends_what_was_sent_and_heals_without_a_duplicate(
    tmp_path: Path, line: Line, server: PostgresqlServer, outage: str
) -> None:
    name = server.new_database().rpartition("dbname=")[2]
    dsn = f"host={line.there} port={PORT} user=holdfast dbname={name}"
    config = config_of(dsn, f'outage = "{outage}"\n')
    with Daemon(tmp_path, config) as daemon, holdfast.connect(daemon.run_dir) as hub:
        for number in range(100):
            hub.events.emit("t:x", {"n": number})
        hub.flush()
        line.cut()
        began = time.monotonic()
        for number in range(100, 200):
            hub.events.emit("t:x", {"n": number})
        if outage == "fail":
            with pytest.raises(UnreachableError):
                hub.state.create("job", {}, id="j1", timeout=TIMEOUT)
            with pytest.raises(UnreachableError):
                hub.state.get("j1", timeout=TIMEOUT)
            assert time.monotonic() - began < 2 * ENDS_WITHIN + 3.0  # one after the other
        else:
            made = threading.Thread(target=hub.state.create, args=["job"], kwargs={"id": "j1"})
            made.start()
            made.join(ENDS_WITHIN)
            assert made.is_alive()
        line.mend()
        hub.flush(timeout=TIMEOUT)
        if outage == "wait":
            made.join(TIMEOUT)
            assert hub.state.get("j1") is not None
        else:
            assert hub.state.create("job", {}, id="j1").version == 1
        found = hub.events.query(types=["t:x"], limit=1_000)
        assert [event.data["n"] for event in found] == list(range(200))
        state = daemon.child("state")
        assert [child.restarts for child in state.children] == [0] * len(state.children)
