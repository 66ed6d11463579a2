"""Agents for tests: each does what a message tells it to."""

from __future__ import annotations

import builtins
import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import holdfast


class Puppet(holdfast.Agent):
    """``["verb", argument]`` is done; what it leads to is the answer."""

    def __init__(self, *, slow_start: float = 0.0, hang_when: str = "") -> None:
        super().__init__()
        self._seen: list[Any] = []
        self._slow_start = slow_start
        self._hang_when = hang_when  # a file; "" for never

    def on_start(self) -> None:
        threading.Event().wait(self._slow_start)
        if self._hang_when and Path(self._hang_when).exists():
            threading.Event().wait()

    def on_receive(self, message: Any) -> Any:
        verb, argument = message
        return getattr(self, f"do_{verb}")(argument)

    def do_echo(self, argument: Any) -> Any:
        return argument

    def do_pid(self, argument: Any) -> int:
        return os.getpid()

    def do_wait(self, seconds: float) -> str:
        threading.Event().wait(seconds)
        return f"waited {seconds}"

    def do_raise(self, text: str) -> None:
        raise ValueError(text)

    def do_raise_class(self, name: str) -> None:
        raise getattr(builtins, name)

    def do_exit(self, code: int) -> None:
        raise SystemExit(code)

    def do_leave(self, code: int) -> None:
        """End the process at once, with this exit code."""
        os._exit(code)

    def do_kill(self, argument: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_hang_once(self, path: str) -> None:
        """Hang, unless an earlier life has hung here already."""
        if not Path(path).exists():
            Path(path).touch()
            threading.Event().wait()

    def do_fork_and_hang_once(self, path: str) -> None:
        """Leave a process behind that has all descriptors of this one, and hang."""
        if not Path(path).exists():
            if os.fork() == 0:
                signal.pause()
            Path(path).touch()
            threading.Event().wait()

    def do_raise_once(self, path: str) -> None:
        if not Path(path).exists():
            Path(path).touch()
            raise ValueError("once")

    def do_hold_the_interpreter(self, seconds: float) -> bool:
        """In C code that no other thread can run beside."""
        ctypes.PyDLL(None).poll(None, 0, int(seconds * 1000))
        return True

    def do_close_the_hub(self, argument: Any) -> None:
        self.hub.close()

    def do_tell_by_hub_and_raise_once(self, arguments: list[Any]) -> None:
        name, path = arguments
        if not Path(path).exists():
            Path(path).touch()
            self.hub.ref(name).tell(["remember", "told"])
            raise ValueError("once")

    def do_remember(self, value: Any) -> None:
        current = self.mailbox.current
        self._seen.append([value, current is not None and current.redelivered])

    def do_recall(self, argument: Any) -> list[Any]:
        return self._seen

    def do_ask(self, arguments: list[Any]) -> Any:
        """Ask another actor; the answer, or the name of what came instead."""
        name, message, timeout = arguments
        try:
            return self.ref(name).ask(message, timeout=timeout)
        except Exception as error:
            return type(error).__name__

    def do_ask_by_hub(self, arguments: list[Any]) -> Any:
        """As ``ask``, over the connections of the hub."""
        name, message, timeout = arguments
        try:
            return self.hub.ref(name).ask(message, timeout=timeout)
        except Exception as error:
            return type(error).__name__

    def do_touch_and_wait(self, arguments: list[Any]) -> None:
        path, seconds = arguments
        Path(path).touch()
        threading.Event().wait(seconds)

    def do_tell(self, arguments: list[Any]) -> None:
        name, message = arguments
        self.ref(name).tell(message)

    def do_tell_many(self, arguments: list[Any]) -> list[Any]:
        """Tell another actor numbers; how many it took, and the name of what ended that."""
        name, count = arguments
        for n in range(count):
            try:
                self.ref(name).tell(["remember", n])
            except Exception as error:
                return [n, type(error).__name__]
        return [count, None]

    def do_tell_and_work(self, arguments: list[Any]) -> bool:
        """Tell another several things, and work on until the last is done; whether it came."""
        name, paths = arguments
        for path in paths:
            self.ref(name).tell(["touch", path])
        deadline = time.monotonic() + 20.0
        while not all(Path(path).exists() for path in paths):
            if time.monotonic() > deadline:
                return False
            threading.Event().wait(0.005)
        return True

    def do_touch(self, path: str) -> None:
        Path(path).touch()

    def do_flood(self, arguments: list[Any]) -> None:
        """Have another actor, or itself, remember so many numbers."""
        name, count = arguments
        ref = self.ref(name)
        for n in range(count):
            ref.tell(["remember", n])

    def do_checkpoint(self, state: Any) -> int:
        self.hub.events.emit("before:checkpoint", state)
        return self.checkpoint(state)

    def do_restored(self, argument: Any) -> Any:
        return self.restored


class Counter(holdfast.Agent):
    """What a proxy is for: methods, an attribute, and what is not to be reached."""

    def __init__(self, *, start: int = 0) -> None:
        super().__init__()
        self.count = start
        self._secret = "hidden"

    def add(self, n: int, *, times: int = 1) -> int:
        self.count += n * times
        return self.count

    def fail(self) -> None:
        raise KeyError("nothing there")

    def call_back(self, ref: Any) -> Any:
        """Ask the actor that a reference in the message names."""
        return ref.ask(["echo", "called back"], timeout=5.0)

    def who(self) -> Any:
        return self.ref(self.name)
