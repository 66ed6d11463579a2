"""One daemon for the tests of a module: a fixture that runs it, and one that lends it to a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import CONFIG, Daemon

__all__ = ["lending"]


def lending(config: str = CONFIG, *anew: str) -> tuple[Any, Any]:
    """The fixtures ``shared`` and ``daemon``; ``anew`` as in ``Daemon.lent``."""

    @pytest.fixture(scope="module", name="shared")
    def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
        with Daemon(tmp_path_factory.mktemp("shared"), config) as daemon:
            yield daemon

    @pytest.fixture(name="daemon")
    def daemon(shared: Daemon) -> Iterator[Daemon]:
        with shared.lent(*anew) as lent:
            yield lent

    return shared, daemon
