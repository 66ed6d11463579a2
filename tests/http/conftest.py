"""One daemon for all of these tests: what is killed in one is there again in the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon import Daemon
from tests.http.door import Door, config, free_port


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    port = free_port()
    with Daemon(tmp_path_factory.mktemp("http"), config(port)) as daemon:
        door = Door(daemon, port)
        yield door
        door.close()
