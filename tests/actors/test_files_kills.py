"""Response logs under SIGKILL: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from pathlib import Path

import holdfast
from tests.daemon import CONFIG, TIMEOUT, Daemon

ROTATING = "[actors.files]\nrotate_bytes = 16_384\nopen_files = 2\n"
# Who is killed again and again is back at once.
EAGER = CONFIG.replace(
    "[supervisors.state]", "[supervisors.state]\nbackoff = 0.01\nbackoff_factor = 1.0"
)
SESSIONS = 3
KILLS = 20
SENDERS = 2
AT_A_TIME = 40  # appends that a sender has under way
UNDER_WAY = SENDERS * AT_A_TIME


class Progress:
    """Kills at random instants, but only after more was answered than can be under way.

    What is in hand at two deaths in a row would be poison, which is another test's matter.
    """

    def __init__(self, seed: int) -> None:
        self._is_enough = threading.Event()
        self._lock = threading.Lock()
        self._left = 0  # answers to come before the next kill
        self._chance = random.Random(seed)
        self.is_over = threading.Event()

    def answered(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left < 0:
                self._is_enough.set()

    def kill(self, daemon: Daemon, times: int) -> None:
        try:
            for _ in range(times):
                with self._lock:
                    self._is_enough.clear()
                    self._left = UNDER_WAY
                assert self._is_enough.wait(TIMEOUT), "too little was answered"
                self.is_over.wait(self._chance.uniform(0.0, 0.02))
                daemon.kill("files")
        finally:
            self.is_over.set()


class Sender:
    """Appends as fast as it can, some at a time; remembers the numbers it was answered."""

    def __init__(self, number: int, run_dir: Path, progress: Progress) -> None:
        self.number = number
        self.answers: list[list[int]] = [[] for _ in range(SESSIONS)]
        self._run_dir = run_dir
        self._progress = progress
        self.thread = threading.Thread(target=asyncio.run, args=(self._run(),))
        self.thread.start()

    async def _run(self) -> None:
        async with holdfast.aio.connect(self._run_dir) as hub:
            first = 0
            while not self._progress.is_over.is_set():
                batch = range(first, first + AT_A_TIME)
                seqs = await asyncio.gather(*(self._append(hub, n) for n in batch))
                for n, seq in zip(batch, seqs, strict=True):
                    self.answers[n % SESSIONS].append(seq)
                first += AT_A_TIME

    async def _append(self, hub: holdfast.aio.Hub, n: int) -> int:
        record = {"sender": self.number, "n": n, "pad": "x" * 50}
        seq = await hub.files.append(f"s{n % SESSIONS}", record, timeout=TIMEOUT)
        self._progress.answered()
        return seq


def test_every_record_is_there_once_and_in_order_however_often_the_actor_is_killed(
    tmp_path: Path,
) -> None:
    """Scenario D1 for files; each sender has many under way at a time."""
    with Daemon(tmp_path, EAGER + ROTATING) as daemon:
        progress = Progress(4)
        senders = [Sender(n, daemon.run_dir, progress) for n in range(SENDERS)]
        progress.kill(daemon, KILLS)
        for sender in senders:
            sender.thread.join(TIMEOUT)
            assert not sender.thread.is_alive()
        for session in range(SESSIONS):
            records = daemon.hub.files.read(f"s{session}", limit=1_000_000, timeout=TIMEOUT)
            assert [one.seq for one in records] == list(range(1, len(records) + 1))
            for sender in senders:
                own = [one for one in records if one.record["sender"] == sender.number]
                sent = [n for n in range(len(own) * SESSIONS) if n % SESSIONS == session]
                assert [one.record["n"] for one in own] == sent, "once, and in order"
                assert [one.seq for one in own] == sender.answers[session], "as was answered"


def test_what_was_answered_survives_sigkill_of_everything(tmp_path: Path) -> None:
    """Scenario D1."""
    with Daemon(tmp_path) as daemon:
        daemon.hub.files.append("s", {"n": 1})
        daemon.hub.files.append("s", {"n": 2}, durability="disk")
        daemon.hub.files.put_result("r", 3)
        daemon.process.kill()
        path = daemon.database.parent / "files" / "logs" / "s.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert [line["record"] for line in lines] == [{"n": 1}, {"n": 2}]
        with path.open("ab") as file:
            file.write('{"seq":3,"time_us":1,"record":{"n":"ä'.encode()[:-1])
        daemon.restart()
        hub = daemon.hub
        assert hub.files.append("s", {"n": 4}, timeout=TIMEOUT) == 3
        assert [one.record["n"] for one in hub.files.read("s")] == [1, 2, 4]
        result = hub.files.get_result("r")
        assert result is not None
        assert result.value == 3
        daemon.until(lambda: hub.events.count(types="files:torn_line") == 1)


def test_a_result_is_put_once_however_often_the_actor_is_killed(tmp_path: Path) -> None:
    with Daemon(tmp_path, EAGER) as daemon:
        progress = Progress(5)
        killer = threading.Thread(target=progress.kill, args=(daemon, KILLS))
        killer.start()
        n = 0
        while not progress.is_over.is_set():
            put = daemon.hub.files.put_result("r", n, expected_version=n, timeout=TIMEOUT)
            assert put == n + 1, "a repeat that met its own version would be a Conflict"
            n += 1
            progress.answered()
        killer.join(TIMEOUT)
        result = daemon.hub.files.get_result("r", timeout=TIMEOUT)
        assert result is not None
        assert (result.version, result.value) == (n, n - 1)
