"""A request to the gateway beside one to a bare asyncio server that echoes lines of JSON.

``here`` is a request that the gateway answers by itself; ``get`` goes on to ``query`` and SQLite,
``pop`` to ``writer`` and a COMMIT.  The last one is how many requests a second 20 clients get
answered, each with one under way.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import holdfast
from benchmarks.daemon import ROOT, running_daemon
from benchmarks.measure import Budget, CpuMeter, Figure, compare, interleave, rate, timed

__all__ = ["run"]

CONFIG: Final = "\n[actors.gateway]\nenabled = true\n"
ROUND: Final = 200  # requests
CLIENTS: Final = 20
BOUND: Final = 2.0  # times the bare server's
DEADLINE: Final = 30.0  # seconds

REQUESTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "here": ("monitor:get_subscriptions", {}),
    "get": ("state:entity:get", {"id": "a"}),
    "pop": ("async_state:pop", {"namespace": "n", "key": "k"}),
}


class _Client:
    """One connection; a line is sent, a line comes back."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(path))
        self._file = self.sock.makefile("rb", buffering=64 * 1024)

    def send(self, line: bytes) -> None:
        self.sock.sendall(line)

    def receive(self) -> bytes:
        line = self._file.readline()
        if b'"error"' in line or not line:
            raise holdfast.DeliveryError(f"the server answered {line!r}")
        return line

    def ask(self, line: bytes) -> None:
        self.send(line)
        self.receive()


def _line(event: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"event": event, "data": data, "correlation_id": "c"}).encode() + b"\n"


@contextmanager
def _echo_server(path: Path) -> Iterator[int]:
    """Its pid."""
    command = [sys.executable, "-m", "benchmarks.echoing", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if not select.select([process.stdout], [], [], DEADLINE)[0]:
                raise holdfast.StartError("the echo server did not start")
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


def run(budget: Budget) -> list[Figure]:
    """Each kind of request beside the echo of the same line, in turn."""
    with ExitStack() as stack:
        daemon = stack.enter_context(running_daemon(more=CONFIG))
        path = daemon.run_dir / "echo.bare"
        echo = stack.enter_context(_echo_server(path))
        ours = [_Client(daemon.run_dir / "gateway.sock") for _ in range(CLIENTS)]
        bare = [_Client(path) for _ in range(CLIENTS)]
        for client in (*ours, *bare):
            stack.callback(client.sock.close)
        ours[0].ask(_line("state:entity:create", {"id": "a", "type": "t", "properties": {"n": 1}}))
        seconds = budget.seconds / (len(REQUESTS) + 1)
        figures = []
        for name, request in REQUESTS.items():
            line = _line(*request)
            sides = [
                partial(timed, ROUND, partial(client.ask, line)) for client in (ours[0], bare[0])
            ]
            mine, floor = interleave(seconds, *sides)
            bound = BOUND if name == "here" else None
            figures.append(compare(f"gateway: {name}", "us", mine, floor, bound=bound))
        line = _line(*REQUESTS["here"])
        with daemon.connect() as hub:
            meter = CpuMeter({"gateway": daemon.pids(hub)["gateway"], "bare": echo}, here=False)
        sides = [
            partial(rate, ROUND * CLIENTS, partial(_all_at_once, some, line))
            for some in (ours, bare)
        ]
        with meter.running():
            mine, floor = interleave(seconds, *sides)
        each = meter.per(ROUND * CLIENTS * (len(mine) + 1))  # with the warm-up
        name = f"gateway: {CLIENTS} clients"
        figures.append(compare(name, "requests/s", mine, floor, better="higher", cpu_us=each))
    return figures


def _all_at_once(clients: list[_Client], line: bytes) -> None:
    for _ in range(ROUND):
        for client in clients:
            client.send(line)
        for client in clients:
            client.receive()
