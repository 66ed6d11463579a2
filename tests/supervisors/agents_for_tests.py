"""Tiny actors for trees under test; each keeps or breaks one promise of a child."""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

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


class Talker(HostedActor):
    """``["how", what]`` is said so; the answer is the pid."""

    def on_receive(self, message: object) -> object:
        assert isinstance(message, list)
        how, what = message
        if how == "falling":  # by a tell: an ask would get the exception
            self.mailbox.deliver(["raising", what])
            return None
        getattr(self, f"say_by_{how}")(what)
        return os.getpid()

    def say_by_print(self, what: str) -> None:
        print(what)

    def say_by_stderr(self, what: str) -> None:
        print(what, file=sys.stderr)

    def say_by_write(self, what: str) -> None:
        os.write(2, f"{what}\n".encode())

    def say_by_program(self, what: str) -> None:
        subprocess.run(["echo", what], check=True)

    def say_by_c(self, what: str) -> None:
        ctypes.CDLL(None).puts(what.encode())

    def say_by_logging(self, what: str) -> None:
        logging.getLogger("talker").warning(what)

    def say_by_dying(self, what: str) -> None:
        os.write(1, what.encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def say_by_bytes(self, what: bytes) -> None:
        os.write(1, what)

    def say_by_raising(self, what: str) -> None:
        raise RuntimeError(what)

    def say_by_helper(self, what: str) -> None:
        """A program that holds both streams, until it is killed."""
        subprocess.Popen(["sh", "-c", f"echo {what}; exec sleep 1000"])

    def say_by_closing(self, what: str) -> None:
        os.close(1)

    def say_by_flooding(self, size: int) -> None:
        line = b"x" * 99 + b"\n"
        block = line * 640
        for _ in range(size // len(block)):
            left = block
            while left:
                left = left[os.write(1, left) :]
