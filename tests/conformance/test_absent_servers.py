"""A daemon that starts while its PostgreSQL server is away: it waits, as in an outage."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.actors.agent import Agent
from holdfast.errors import UnreachableError
from tests.conformance.servers import PostgresqlServer, running_postgresql
from tests.conformance.test_daemons import told  # noqa: F401  # a fixture
from tests.conformance.test_lost_servers import BACK_WITHIN, config_of
from tests.daemon import TIMEOUT, Daemon

Tell = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def made() -> Iterator[PostgresqlServer]:
    """For all of this module."""
    with running_postgresql() as server:
        server.stop()
        yield server


@pytest.fixture
def server(made: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """Runs; the test stops and starts it."""
    made.start()
    yield made
    made.stop()


def status_of(tell: Tell, daemon: Daemon) -> dict[str, Any]:
    code, said = tell("status", "--json", "--run-dir", str(daemon.run_dir))
    assert code == 0, said
    return dict(json.loads(said))


def test_it_starts_waits_and_goes_on_by_itself_when_the_server_comes(
    tmp_path: Path,
    server: PostgresqlServer,
    told: Tell,  # noqa: F811  # the fixture
) -> None:
    dsn = server.new_database()
    server.stop()
    with Daemon(tmp_path, config_of(dsn)) as daemon, holdfast.connect(daemon.run_dir) as hub:
        assert "starting without it" in daemon.log.read_text()
        for number in range(100):
            hub.events.emit("t:x", {"n": number})
        with pytest.raises(UnreachableError):
            hub.state.get("j1")
        creating = threading.Thread(target=hub.state.create, args=["job"], kwargs={"id": "j1"})
        creating.start()
        shown = status_of(told, daemon)
        assert "the server cannot be reached" in shown["outage"]
        assert shown["database"] is None
        code, said = told("status", "--run-dir", str(daemon.run_dir))
        assert code == 0
        assert "the database does not answer, events wait: postgresql://" in said
        code, said = told("doctor", "--run-dir", str(daemon.run_dir))
        assert code == 1
        assert "error    database: does not answer: postgresql://" in said
        assert creating.is_alive()
        server.start()
        hub.flush("committed", timeout=BACK_WITHIN + TIMEOUT / 2)
        creating.join(TIMEOUT)
        assert hub.state.get("j1") is not None
        found = hub.events.query(types=["t:x"], limit=1_000)
        assert [event.data["n"] for event in found] == list(range(100))
        assert status_of(told, daemon)["outage"] is None
        restarts = [child.restarts for child in daemon.child("state").children]
        assert restarts == [0] * len(restarts)


def test_commands_wait_no_longer_than_they_may_also_after_the_writer_was_killed(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    dsn = server.new_database()
    server.stop()
    config = config_of(dsn, "outage_timeout = 0.5\n")
    with Daemon(tmp_path, config) as daemon, holdfast.connect(daemon.run_dir) as hub:
        hub.events.emit("t:x", {"n": 0})
        with pytest.raises(UnreachableError, match="nothing is stored"):
            hub.state.create("job", {}, id="a", timeout=TIMEOUT)
        daemon.wait_for_another("writer", daemon.kill("writer"))
        with pytest.raises(UnreachableError, match="nothing is stored"):
            hub.state.create("job", {}, id="b", timeout=TIMEOUT)
        server.start()
        hub.flush("committed", timeout=TIMEOUT)
        assert hub.events.count(types=["t:x"]) == 1
        assert hub.state.query(type="job") == []
        assert hub.state.create("job", {}, id="a").version == 1


class Counter(Agent):
    """Keeps how often it was started."""

    def on_start(self) -> None:
        self.checkpoint((self.restored or 0) + 1)

    def on_receive(self, message: object) -> object:
        return self.restored


@pytest.mark.slow  # a server and a daemon of its own
def test_an_agent_waits_for_its_checkpoint(tmp_path: Path, server: PostgresqlServer) -> None:
    config = config_of(server.new_database())
    agents = f'[agents.counter]\nclass = "{__name__}:Counter"\n'
    with Daemon(tmp_path, config + agents) as daemon:
        assert daemon.ref("counter").ask("") is None
    server.stop()
    daemon = Daemon(tmp_path, config + agents)
    daemon.until(lambda: "waits for its last checkpoint" in daemon.log.read_text() or None)
    server.start()
    with daemon:
        assert daemon.ref("counter").ask("") == 1
        assert daemon.child("counter").restarts == 0


@pytest.mark.slow  # waits for a daemon to give up
def test_what_is_wrong_with_a_server_that_comes_late_ends_the_daemon_by_name(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    dsn = server.new_database()
    name = dsn.rpartition("dbname=")[2]
    server.execute("CREATE SCHEMA holdfast; CREATE TABLE holdfast.other (a int)", name)
    server.stop()
    config = config_of(dsn).replace("max_restarts = 1000", "max_restarts = 1")
    daemon = Daemon(tmp_path, config)
    daemon.wait_ready()
    server.start()
    assert daemon.process.wait(TIMEOUT) == 5
    assert "tables of another program" in daemon.log.read_text()


def test_with_outage_fail_it_is_refused_by_name(
    tmp_path: Path,
    server: PostgresqlServer,
    told: Tell,  # noqa: F811  # the fixture
) -> None:
    dsn = server.new_database()
    server.stop()
    (tmp_path / "c.toml").write_text(config_of(dsn, 'outage = "fail"\n'), encoding="utf-8")
    code, said = told("start", "c.toml")
    assert code == 1
    assert "the server cannot be reached (No such file or directory)" in said
