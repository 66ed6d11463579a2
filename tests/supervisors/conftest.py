"""Trees of real processes that end with their test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from holdfast.supervisors.spec import ChildSpec
from tests.daemon import Daemon
from tests.forkserver import start_server, stop_server
from tests.supervisors.reload_rig import BASE
from tests.supervisors.trees import SmallTree


class Grow(Protocol):
    """Starts a tree, without waiting for anything."""

    def __call__(self, *children: ChildSpec, **policy: Any) -> SmallTree: ...


@pytest.fixture
def grow(tmp_path: Path) -> Iterator[Grow]:
    trees: list[SmallTree] = []

    def grow_one(*children: ChildSpec, **policy: Any) -> SmallTree:
        trees.append(SmallTree(tmp_path, *children, **policy))
        return trees[-1]

    yield grow_one
    for tree in trees:
        tree.close()


@pytest.fixture
def without_fork_server() -> Iterator[None]:
    """For a test whose own process is a supervisor, and kills what it has inherited."""
    stop_server()
    yield
    start_server()


@pytest.fixture(scope="module")
def one_to_reload(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("reload"), BASE) as daemon:
        yield daemon


@pytest.fixture
def daemon(one_to_reload: Daemon) -> Iterator[Daemon]:
    """As the config above has it, before and after."""
    yield one_to_reload
    one_to_reload.config_file.write_text(BASE)
    one_to_reload.hub.supervision.reload()
