"""Runs as the root of a tree under test: ``python -m tests.supervisors.root SPEC``."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from loguru import logger

from holdfast.errors import HoldfastError
from holdfast.supervisors.spec import Environment, SupervisorSpec
from holdfast.supervisors.tree import run_root

if __name__ == "__main__":
    spec, environment = msgspec.msgpack.decode(
        Path(sys.argv[1]).read_bytes(), type=tuple[SupervisorSpec, Environment]
    )
    try:
        code = run_root(spec, environment, on_ready=lambda: logger.info("the tree is ready"))
    except HoldfastError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
