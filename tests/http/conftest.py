"""One daemon for all of these tests: what is killed in one is there again in the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon import Daemon
from tests.holdfast.conftest import ROOT
from tests.http.door import Door, config, free_port

# A second door, under a supervisor that soon takes it for hung.
HANGING = """
[supervisors.hanging]
max_restarts = 1000
heartbeat_interval = 0.1
heartbeat_timeout = 1.0
[agents.hangs]
parent = "hanging"
class = "tests.http.hanging:HangingDoor"
python_path = ["{root}"]
listen = "127.0.0.1:{port}"
[agents.hangs.options]
address = "127.0.0.1"
port = {port}
token = ""
hosts = []
origins = []
max_clients = 10
max_streams = 2
max_body = 1024
max_answer = 65_536
timeout = 5.0
patience = 3.0
grace = 1.0
heartbeat = 1.0
"""


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    port = free_port()
    text = config(port) + HANGING.format(root=ROOT, port=free_port())
    with Daemon(tmp_path_factory.mktemp("http"), text) as daemon:
        door = Door(daemon, port)
        yield door
        door.close()
