"""Starts ``python -m holdfast`` without importing it each time: half of what a test would take.

A process that has imported all that a daemon does forks on request, and runs the module there with
arguments, folder, environment and streams of its own.  What is fixed at an exec differs:
``/proc/PID/cmdline`` and ``environ``, and what Python reads of the environment when it begins.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from tempfile import TemporaryFile
from typing import IO, Any, AnyStr, Final, NoReturn

__all__ = [
    "ForkedProcess",
    "Popen",
    "fork",
    "run",
    "server_pids",
    "soft_nofile",
    "start_server",
    "stop_server",
]

RECORD_BYTES: Final = 128 * 1024
ROOT: Final = Path(__file__).resolve().parents[1]
# A quarter of the memory of a process that has it, and every fork copies the page tables of that:
# only daemons on PostgreSQL come from a server that has imported it.
POSTGRESQL: Final = "postgresql"

# Descriptors that what is forked may have open; None as many as this process.
soft_nofile: ContextVar[int | None] = ContextVar("soft_nofile", default=None)


class ForkedProcess:
    """What of ``subprocess.Popen`` a test uses."""

    def __init__(self, pid: int, arguments: list[str]) -> None:
        self.pid = pid
        self.arguments = arguments
        self.stderr: IO[bytes] | None = None  # of a caller that has given it a pipe
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, once it has one."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended.  Raises TimeoutExpired after ``timeout`` seconds."""
        if (code := self.poll()) is not None:
            return code
        pidfd = os.pidfd_open(self.pid)
        try:
            ended, _, _ = select.select([pidfd], [], [], timeout)
        finally:
            os.close(pidfd)
        if not ended:
            raise subprocess.TimeoutExpired(self.arguments, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


_pids: set[int] = set()  # of the servers of this process


@cache
def start_server(*, postgresql: bool = False) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """One for each process that runs tests, and one with PostgreSQL's once it is asked for.

    It ends with that process.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forkserver", str(theirs.fileno()), str(postgresql)],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    _pids.add(process.pid)
    return ours, process


def server_pids() -> frozenset[int]:
    """Those that run."""
    return frozenset(_pids)


def stop_server() -> None:
    """Have them end."""
    servers = [start_server()]
    if len(_pids) > 1:
        servers.append(start_server(postgresql=True))
    for channel, process in servers:
        channel.close()
        process.wait()
    start_server.cache_clear()
    _pids.clear()


def fork(
    module: str,
    *arguments: str | Path,
    folder: Path,
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    postgresql: bool = False,
) -> ForkedProcess:
    """``python -m MODULE ARGUMENTS`` in a process group of its own, a child of the caller.

    Of a caller that is a subreaper, as ``conftest`` has it.  ``postgresql``: whether it will
    import what speaks with such a server.
    """
    server, _ = start_server(postgresql=True) if postgresql else start_server()
    called = [module, *map(str, arguments)]
    limit = _limit()
    request = json.dumps([called, str(folder), dict(environment), limit]).encode()
    socket.send_fds(server, [request], list(streams))
    answer = server.recv(RECORD_BYTES)
    assert answer, "the fork server has ended: see what it wrote"
    return ForkedProcess(int(answer), called)


class Popen(subprocess.Popen[AnyStr]):
    """``python -m`` (or ``-c``) and arguments, forked: an exec takes 0.3 s of a CPU."""

    def _execute_child(self, args: Sequence[str], *more: Any) -> None:
        cwd, env, pipes = more[4], more[5], more[9:15]
        reads, _, _, out, _, error = pipes
        streams = [own if fd == -1 else fd for own, fd in enumerate((reads, out, error))]
        try:
            forked = fork(
                *args,
                folder=Path(cwd or "."),
                environment=os.environ if env is None else env,
                streams=(streams[0], streams[1], streams[2]),
            )
        finally:
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # as the one overridden
        self.pid, self._child_created = forked.pid, True


def _limit() -> tuple[int, int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft_nofile.get() or soft, hard


def run(
    module: str,
    *arguments: str | Path,
    folder: Path,
    environment: Mapping[str, str],
    stdin: str,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end.  Its streams are files.  Raises TimeoutExpired."""
    with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        given.write(stdin)
        given.seek(0)
        streams = (given.fileno(), out.fileno(), err.fileno())
        process = fork(module, *arguments, folder=folder, environment=environment, streams=streams)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(process.arguments, code, out.read(), err.read())


def _serve(channel: socket.socket, postgresql: bool) -> NoReturn:
    for package in ("holdfast.actors", "holdfast.storage", "holdfast.supervisors", "holdfast.cli"):
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if postgresql or POSTGRESQL not in module.name:
                import_module(module.name)
    import_module("holdfast.testing.faults.launch")  # it patches when it is called, not before
    import_module("holdfast.supervisors.config").parse_settings(
        "", file="warm"
    )  # what it finds out of its types is kept
    gc.collect()
    gc.freeze()
    while True:
        request, streams, _, _ = socket.recv_fds(channel, RECORD_BYTES, 3)
        if not request:
            os._exit(0)
        reading, writing = os.pipe()
        if (between := os.fork()) == 0:
            # Its child loses this parent at once, and so is the subreaper's.
            if (pid := os.fork()) == 0:
                for fd in (reading, writing, channel.fileno()):
                    os.close(fd)
                _become(request, streams)
            os.write(writing, str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)
        os.close(writing)
        channel.send(os.read(reading, 32))
        for fd in (reading, *streams):
            os.close(fd)


def _become(request: bytes, streams: list[int]) -> NoReturn:
    code = 1
    try:
        (module, *arguments), folder, environment, limit = json.loads(request)
        os.setpgid(0, 0)
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
            os.close(fd)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        if resource.getrlimit(resource.RLIMIT_NOFILE) != tuple(limit):  # what imports look at
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
        sys.argv = [module, *arguments]
        sys.path[0] = folder  # as ``python -m`` has it
        if module == "-c":
            program, *sys.argv[1:] = arguments
            exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as own:
        _serve(own, sys.argv[2] == str(True))
