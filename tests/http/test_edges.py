"""Ports: kept by a supervisor, taken by others, let go of; and a stream with holes."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.http.door import Door, config, free_port, hears
from tests.http.test_streams import emit, stream

HERE = Path(__file__).parent


def test_the_port_of_an_agent_outlives_it_and_goes_with_its_table(tmp_path: Path) -> None:
    port = free_port()

    def pid_there() -> int:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
            return int(hears(sock))

    served = f"""
[agents.served]
class = "served:Served"
python_path = ["{HERE}"]
listen = "127.0.0.1:{port}"
"""
    with Daemon(tmp_path, CONFIG + served) as daemon:
        assert pid_there() == daemon.pid("served")
        for _ in range(2):
            killed = daemon.kill("served")
            assert pid_there() not in (0, killed)  # it was not refused meanwhile
        daemon.config_file.write_text(CONFIG, encoding="utf-8")
        daemon.hub.supervision.reload()
        with pytest.raises(ConnectionRefusedError):
            pid_there()


@pytest.mark.slow  # a daemon of its own
def test_while_another_program_has_the_port_the_tree_runs(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Daemon(tmp_path, config(port)) as daemon:
            assert daemon.child("http").state == "running"
            other.close()

            def serves() -> bool:
                try:
                    return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
                except httpx.HTTPError:
                    return False

            daemon.until(serves)
            assert "trying on" in Path(daemon.folder, "var/lib/log/http.log").read_text()


@pytest.mark.slow  # a daemon of its own
def test_what_was_deleted_before_it_came_is_told_in_its_place(tmp_path: Path) -> None:
    port = free_port()
    small = "[actors.log]\ncapacity = 100\n"
    with Daemon(tmp_path, config(port) + small) as daemon:
        door = Door(daemon, port)
        emit(door, "n", range(300))
        with closing(sqlite3.connect(daemon.database, timeout=TIMEOUT)) as connection, connection:
            connection.execute("DELETE FROM events WHERE seq <= 50")
            connection.execute("DELETE FROM events WHERE seq BETWEEN 60 AND 69")
        with stream(door, last="0") as behind:
            told = [behind.event() for _ in range(12)]
        kinds = [(each.get("event", ""), each["id"]) for each in told]
        assert kinds[:2] == [("gap", "50"), ("", "51")]
        assert ("gap", "69") in kinds
        assert kinds.index(("gap", "69")) == kinds.index(("", "59")) + 1
        assert json.loads(told[0]["data"]) == {"first": 1, "last": 50}
        door.close()


@pytest.mark.slow  # a daemon of its own
def test_a_reload_opens_and_closes_the_door(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, CONFIG) as daemon:
        for _ in range(2):
            daemon.config_file.write_text(config(port), encoding="utf-8")
            daemon.hub.supervision.reload()
            door = Door(daemon, port)
            door.ask("GET", "/events/stats")
            door.close()
            daemon.config_file.write_text(CONFIG, encoding="utf-8")
            daemon.hub.supervision.reload()
            with pytest.raises(ConnectionRefusedError):
                door.connect()
