"""A daemon under traffic whose writer is recorded and whose processes are killed; then it is cut.

Owns a temporary folder only.  What a program was told is in the recording at the place where it
was told: no earlier than what it tells of.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final, Literal

import holdfast
from holdfast.actors.hub import Hub
from holdfast.testing.daemon import Daemon
from holdfast.testing.faults.plan import DiskRecording
from holdfast.testing.faults.power.cuts import DATABASE, cut_everywhere
from holdfast.testing.faults.power.platter import LOSSES
from holdfast.testing.faults.power.runs import Run, Summary, scratch_folder
from holdfast.testing.faults.recording import Fact, Recorder, Told, read_recording

__all__ = ["VICTIMS", "cut_tree"]

ROUNDS: Final = 6  # between two kills
VICTIMS: Final = ("writer", "log", "state", "root")
# With retention at work the log is copied in small parts, and stays as small as a cut can be fast.
_CONFIG: Final = """
[storage]
sync_interval = 0.1
[retention]
period = 0.1
[retention.types."noise"]
max_count = 1
"""


class _Client:
    """A program: what it sends, and what it was told of that."""

    def __init__(self, name: str, recorder: Recorder, random: Random) -> None:
        self.counts: Counter[str] = Counter()
        self._name = name
        self._recorder = recorder
        self._random = random
        self._sent = 0

    def work(self, hub: Hub, timeout: float) -> None:
        """One round; the hub is of this client's name."""
        random, facts = self._random, list[Fact]()
        for _ in range(random.randint(1, 30)):
            hub.events.emit("n", self._sent)
            self._sent += 1
        entity = f"{self._name}-{random.randrange(3)}"
        changed = hub.state.create(
            "task", {"n": self._sent}, id=entity, on_conflict="merge", timeout=timeout
        )
        facts.append(("entity", entity, changed.version))
        if random.random() < 0.5:
            state = {"text": random.randbytes(2_000).hex()}
            number = hub.checkpoints.put(self._name, state, timeout=timeout)
            facts.append(("checkpoint", self._name, number))
        level: Literal["committed", "disk"] = "disk" if random.random() < 0.4 else "committed"
        hub.flush(level, timeout=timeout)
        facts.append(("numbered", self._name, self._sent))
        self._recorder.add(Told(level, facts))
        self.counts.update(["rounds", f"flush {level}"])


def cut_tree(seed: int, *, every: int = 1, every_loss: bool = False, kills: int = 8) -> Summary:
    """Record ``kills`` lives of processes of a tree, then have the power fail."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-power-", dir=scratch_folder()) as folder:
        commands = _record(Path(folder), Random(seed), kills)
        cutting = Path(folder, "cutting")
        cutting.mkdir()
        cuts = cut_everywhere(
            read_recording(Path(folder, "faults.disk")),
            cutting,
            seed=str(seed),
            losses=LOSSES if every_loss else None,
            every=every,
        )
    run = Run(seed, cuts.points, "committed", is_new=True, every_loss=every_loss)
    return Summary(run, cuts, commands, time.monotonic() - began, is_tree=True)


def _record(folder: Path, random: Random, kills: int) -> Counter[str]:
    recorder = Recorder(folder / "faults.disk")
    clients = [_Client(name, recorder, random) for name in ("planner", "critic")]
    counts: Counter[str] = Counter()
    with Daemon(folder, _CONFIG, faults=[DiskRecording(process="writer")]) as daemon:
        assert daemon.database.name == DATABASE
        for number in range(kills):
            victim = VICTIMS[number % len(VICTIMS)]
            hubs = [holdfast.connect(daemon.run_dir, source=name) for name in ("planner", "critic")]
            for _ in range(ROUNDS):
                for client, hub in zip(clients, hubs, strict=True):
                    client.work(hub, daemon.timeout)
            for hub in hubs:
                hub.close()
            daemon.kill(victim)
            if victim == "root":
                daemon.restart()
            counts[f"SIGKILL of {victim}"] += 1
    recorder.close()
    return sum((client.counts for client in clients), counts)
