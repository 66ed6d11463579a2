"""What programs tell the writer directly: carried out once, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import holdfast
from holdfast.storage.checkpoint_records import StoreCheckpoint
from tests.daemon import CONFIG, TIMEOUT, Daemon

# Restarts in a row would each wait longer than the one before.

COUNT = 250
KILLS = 5


def test_a_command_to_the_writer_is_carried_out_once_across_its_deaths(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG) as daemon, holdfast.connect(daemon.run_dir) as hub:
        milestones: SimpleQueue[int] = SimpleQueue()

        def put_all() -> list[int]:
            ids = []
            for number in range(COUNT):
                if number % (COUNT // KILLS) == 10:
                    milestones.put(number)
                command = StoreCheckpoint(None, "a", 1, str(number))
                ids.append(hub._driver.command_once("writer", command, TIMEOUT).id)
            return ids

        with ThreadPoolExecutor(1) as pool:
            answers = pool.submit(put_all)
            for _ in range(KILLS):
                milestones.get(timeout=TIMEOUT)
                pid = daemon.wait_until_running("writer").pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                daemon.wait_for_another("writer", pid)
            assert answers.result(TIMEOUT) == list(range(1, COUNT + 1))
        states = [checkpoint.state for checkpoint in hub.checkpoints.list("a", COUNT)]
        assert states == list(range(COUNT - 1, -1, -1))
