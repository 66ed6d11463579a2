"""An agent that says what it is told to, in every way there is."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys

from holdfast.actors.host import HostedActor


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

    def say_by_logging_among_files(self, folder: str) -> None:
        """With a file behind each of the next hundred numbers."""
        numbers = [os.open(f"{folder}/open-{n}", os.O_RDWR | os.O_CREAT) for n in range(100)]
        self.say_by_logging("among files")
        for number in numbers:
            os.close(number)

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
