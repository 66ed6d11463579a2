"""Ray's side of the peers: an actor in a worker process, called from the driver.

``python -m benchmarks.peer_ray FD``, driven by ``peers``.
"""

from __future__ import annotations

import os
import time
from contextlib import redirect_stdout
from functools import cache
from typing import Any

import ray

from benchmarks.driven import serve, taken_over
from benchmarks.kills import kill_and_see
from benchmarks.material import MESSAGE
from benchmarks.measure import timed
from holdfast.supervisors.linux import adopt_orphans

__all__ = ["Receiver", "main"]


class Receiver:
    """Counts what it is told, and returns what it is asked."""

    def __init__(self) -> None:
        self._count = 0

    def told(self, _message: Any) -> None:
        """One more."""
        self._count += 1

    def count(self) -> int:
        """How many so far."""
        return self._count

    def echo(self, message: Any) -> Any:
        """The message."""
        return message

    def pid(self) -> int:
        """Its process."""
        return os.getpid()


def main() -> None:
    """Measure as often as asked."""
    adopt_orphans()  # until the end: only what is below this process is ended with it
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # or it warns at every start
    # It prints every death to the standard output, which is the benchmark's, and may be JSON.
    with taken_over() as control, open(os.devnull, "w") as null, redirect_stdout(null):
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            receiver = ray.remote(Receiver).remote()
            serve(
                control,
                {
                    "tell": lambda count: tell(receiver, count),
                    "ask": lambda count: timed(
                        count, lambda: ray.get(receiver.echo.remote("x" * 64))
                    ),
                    "restart": restart,
                },
            )
        finally:
            ray.shutdown()


def tell(receiver: Any, count: int) -> list[float]:
    """Messages a second, until all are handled."""
    before = ray.get(receiver.count.remote())
    began = time.perf_counter()
    for _ in range(count):
        receiver.told.remote(MESSAGE)
    while ray.get(receiver.count.remote()) < before + count:
        pass
    return [count / (time.perf_counter() - began)]


def restart(count: int) -> list[float]:
    """Milliseconds from each SIGKILL of the worker until the same reference answers."""
    receiver = _restarted()
    samples = []
    for _ in range(count):
        descriptor = os.pidfd_open(ray.get(receiver.pid.remote()))
        began = time.perf_counter()
        kill_and_see(descriptor)
        ray.get(receiver.echo.remote("there?"))
        samples.append((time.perf_counter() - began) * 1000)
    return samples


@cache
def _restarted() -> Any:
    """An actor that is restarted without end, and what is asked of it is asked again."""
    return ray.remote(Receiver).options(max_restarts=-1, max_task_retries=-1).remote()


if __name__ == "__main__":
    main()
