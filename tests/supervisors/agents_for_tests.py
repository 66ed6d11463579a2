"""Tiny actors for trees under test; each keeps or breaks one promise of a child."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from holdfast.actors.host import HostedActor


class Idle(HostedActor):
    """Answers with what it was asked."""

    def on_receive(self, message: object) -> object:
        return message


class FailsToStart(HostedActor):
    """Raises in ``on_start`` while the file ``when`` exists."""

    def __init__(self, *, when: str) -> None:
        super().__init__()
        self._when = Path(when)

    def on_start(self) -> None:
        if self._when.exists():
            raise RuntimeError("the moon is wrong")


class StartsWhenLet(HostedActor):
    """Waits in ``on_start`` until something opens the named pipe ``gate`` to write."""

    def __init__(self, *, gate: str) -> None:
        super().__init__()
        self._gate = gate

    def on_start(self) -> None:
        with open(self._gate):
            pass

    def on_receive(self, message: object) -> object:
        return message


class FailsWhenLet(HostedActor):
    """As FailsToStart, once something opens the named pipe ``gate`` to write, if there is one."""

    def __init__(self, *, gate: str, when: str) -> None:
        super().__init__()
        self._gate = Path(gate)
        self._when = Path(when)

    def on_start(self) -> None:
        if self._gate.exists():
            self._gate.open().close()
        if self._when.exists():
            raise RuntimeError("the moon is wrong")


class NeverStarts(HostedActor):
    """Blocks in ``on_start``."""

    def on_start(self) -> None:
        while True:
            signal.pause()


class Ends(HostedActor):
    """Becomes ready and then ends as ``how`` says, while the file ``when`` exists."""

    def __init__(self, *, how: str, when: str = "/") -> None:
        super().__init__()
        self._how = how
        self._when = Path(when)

    def on_start(self) -> None:
        if self._when.exists():
            self.mailbox.deliver("now")

    def on_receive(self, message: object) -> object:
        if message != "now":
            return message  # a life that ends never comes to this
        kind, _, value = self._how.partition(" ")
        match kind:
            case "exit":
                os._exit(int(value))
            case "signal":
                os.kill(os.getpid(), int(value))
                signal.pause()
            case "raise":
                raise RuntimeError(value)
        return None


class Obeys(HostedActor):
    """Ends as it is told to: "exit 1", "signal 9", "raise no", "abort"; else gives it back."""

    def on_receive(self, message: object) -> object:
        kind, _, value = str(message).partition(" ")
        match kind:
            case "exit":
                os._exit(int(value))
            case "signal":
                os.kill(os.getpid(), int(value))
                signal.pause()
            case "abort":
                os.abort()
            case "raise" if self.mailbox.current is not None:
                self.mailbox.deliver(message)  # an asker would get it, and the actor live
            case "raise":
                raise RuntimeError(value)
        return message


class Meets(HostedActor):
    """Is ready only together with another that opens the named pipe ``gate`` the other way."""

    def __init__(self, *, gate: str, mode: str) -> None:
        super().__init__()
        self._gate = gate
        self._mode = mode

    def on_start(self) -> None:
        open(self._gate, self._mode).close()


class FreezesInStart(HostedActor):
    """Stops its own process in ``on_start``, as SIGSTOP from outside does."""

    def on_start(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)


class FailsOnStop(HostedActor):
    """Takes its leave with exit code ``code``, whatever it was told."""

    def __init__(self, *, code: int) -> None:
        super().__init__()
        self._code = code

    def on_receive(self, message: object) -> object:
        return message

    def on_stop(self) -> None:
        os._exit(self._code)


class StopsWhenLet(HostedActor):
    """Waits in ``on_stop`` until something opens the named pipe ``gate``, if there is one."""

    def __init__(self, *, gate: str) -> None:
        super().__init__()
        self._gate = Path(gate)

    def on_receive(self, message: object) -> object:
        return message

    def on_stop(self) -> None:
        if self._gate.exists():
            self._gate.open().close()


class StaysOn(HostedActor):
    """Does not stop when it is told to."""

    def on_stop(self) -> None:
        while True:
            signal.pause()


class Alone(HostedActor):
    """Fails to start while another process has the file ``lock`` locked."""

    def __init__(self, *, lock: str) -> None:
        super().__init__()
        self._lock = open(lock, "w")  # noqa: SIM115 - held for life

    def on_start(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


class HasHelpers(HostedActor):
    """Starts another process, which outlives it unless somebody cares."""

    def on_start(self) -> None:
        self._helper = subprocess.Popen(["sleep", "1000"])

    def on_receive(self, message: object) -> object:
        return self._helper.pid


class Works(HostedActor):
    """Does what it is asked for, in its only thread: ``["spins", 3.0]``."""

    def on_receive(self, message: Any) -> object:
        verb, argument = message if isinstance(message, list) else ("", message)
        match verb:
            case "waits":
                threading.Event().wait(argument)
            case "waits for":  # whoever opens that named pipe to write
                open(argument).close()
            case "spins":
                _spins(argument)
            case "waits for itself":
                _waits_for_itself()
        return message

    def on_stop(self) -> None:
        """Take as long as something holds the named pipe ``WORKS_UNTIL`` back."""
        if gate := os.environ.get("WORKS_UNTIL"):
            open(gate).close()


class HangsByItself(HostedActor):
    """Handles a message that nobody sent, without end."""

    def on_start(self) -> None:
        self.mailbox.after(0.01, "hang")

    def on_receive(self, message: object) -> object:
        while True:
            signal.pause()


def _spins(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def _waits_for_itself() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


class Named(HostedActor):
    """Answers with its name, and writes it down at each start; some names are bad ones."""

    def __init__(self, *, name: str, lives: str) -> None:
        super().__init__()
        self._name = name
        self._lives = Path(lives)

    def on_start(self) -> None:
        with self._lives.open("a") as file:
            file.write(f"{self._name}\n")
        if self._name == "broken":
            raise RuntimeError("the moon is wrong")
        if self._name == "mortal":
            self.mailbox.after(0.05, "die")

    def on_receive(self, message: object) -> object:
        if message == "die":
            os._exit(1)
        return self._name
