"""Runs as the root of a tree under test: ``python -m tests.supervisors.root SPEC``.

With SLOW_FORK in the environment, every process of the tree waits so many seconds between its fork
and its prctl, and says so.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import msgspec
from loguru import logger

from holdfast.errors import HoldfastError
from holdfast.supervisors import zygote
from holdfast.supervisors.linux import die_with_parent
from holdfast.supervisors.spec import Environment, SupervisorSpec
from holdfast.supervisors.tree import run_root


def fork_slowly(delay: float) -> None:
    """Widen the gap that ``die_with_parent`` closes."""

    def wait_first(parent: int) -> None:
        os.write(2, f"forked {os.getpid()}\n".encode())
        select.select([], [], [], delay)
        die_with_parent(parent)

    zygote.die_with_parent = wait_first  # type: ignore[attr-defined]  # where it is called


if __name__ == "__main__":
    spec, environment = msgspec.msgpack.decode(
        Path(sys.argv[1]).read_bytes(), type=tuple[SupervisorSpec, Environment]
    )
    if "SLOW_FORK" in os.environ:
        fork_slowly(float(os.environ["SLOW_FORK"]))
    try:
        code = run_root(spec, environment, on_ready=lambda: logger.info("the tree is ready"))
    except HoldfastError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
