"""Agents for trees under test that start programs, in every way a program can get away."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from holdfast.actors.host import HostedActor
from holdfast.supervisors.linux import set_process_name

SLEEP = ["sleep", "1000"]


def as_child() -> int:
    return subprocess.Popen(SLEEP).pid


def in_its_own_session() -> int:
    return subprocess.Popen(SLEEP, start_new_session=True).pid


def without_environment() -> int:
    return subprocess.Popen(SLEEP, env={}).pid


def below_a_shell() -> int:
    """The shell has a session of its own and waits for the program, whose pid this is."""
    command = "sleep 1000 & echo $!; wait"
    shell = subprocess.Popen(
        ["sh", "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert shell.stdout is not None
    return int(shell.stdout.readline())


def opted_out() -> int:
    environ = {name: value for name, value in os.environ.items() if name != "HOLDFAST_LIFE"}
    return subprocess.Popen(SLEEP, env=environ, start_new_session=True).pid


def double_forked() -> int:
    return _daemonised(lambda: os.execvp(SLEEP[0], SLEEP))


def as_fork_without_a_program() -> int:
    def stay() -> None:
        set_process_name("something-else")
        while True:
            signal.pause()

    return _daemonised(stay)


def that_stopped_itself() -> int:
    return _daemonised(lambda: os.kill(os.getpid(), signal.SIGSTOP))


def _daemonised(live: Callable[[], object]) -> int:
    """A process whose parent has ended, in a session of its own."""
    read_end, write_end = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write_end, str(os.getpid()).encode())
            os.closerange(0, 1024)
            live()
        os._exit(0)
    os.waitpid(middle, 0)
    assert select.select([read_end], [], [], 10)[0]
    pid = int(os.read(read_end, 20))
    os.close(read_end)
    os.close(write_end)
    return pid


WAYS = {
    way.__name__: way
    for way in (
        as_child,
        in_its_own_session,
        without_environment,
        below_a_shell,
        double_forked,
        as_fork_without_a_program,
        that_stopped_itself,
    )
}


class Starts(HostedActor):
    """Starts programs in these ways when it starts, and says their pids by way."""

    def __init__(self, *, ways: list[str]) -> None:
        super().__init__()
        self._ways = ways
        self._pids: dict[str, int] = {}

    def on_start(self) -> None:
        self._pids = {way: (WAYS | {"opted_out": opted_out})[way]() for way in self._ways}

    def on_receive(self, message: object) -> object:
        match message:
            case "pids":
                return self._pids
            case "environment":
                shown = subprocess.run(["env"], stdout=subprocess.PIPE, text=True, check=True)
                return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        return message


class StartsSlowly(HostedActor):
    """Says the pids of its programs in the file ``said``, and then waits in ``on_start``."""

    def __init__(self, *, ways: list[str], said: str) -> None:
        super().__init__()
        self._ways = ways
        self._said = Path(said)

    def on_start(self) -> None:
        pids = [WAYS[way]() for way in self._ways]
        whole = self._said.with_suffix(".new")
        whole.write_text(" ".join(map(str, pids)))
        whole.replace(self._said)
        signal.pause()


class StartsAndDies(HostedActor):
    """Starts programs in these ways when it is told to, and has no time to say so."""

    def __init__(self, *, ways: list[str]) -> None:
        super().__init__()
        self._ways = ways

    def on_receive(self, message: object) -> object:
        for way in self._ways:
            WAYS[way]()
        os.kill(os.getpid(), signal.SIGKILL)
        return message


class SeesTheLast(HostedActor):
    """Does not start when the program of an earlier life lives; their pids are in ``seen``."""

    def __init__(self, *, seen: str) -> None:
        super().__init__()
        self._seen = Path(seen)

    def on_start(self) -> None:
        before = self._seen.read_text().split() if self._seen.exists() else []
        alive = [pid for pid in before if Path(f"/proc/{pid}").exists()]
        if alive:
            raise RuntimeError(f"still there: {alive}")
        self._seen.write_text(" ".join([*before, str(in_its_own_session())]))
