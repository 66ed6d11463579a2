"""Running an asyncio program against a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast import aio
from tests.daemon import Daemon


def run(daemon: Daemon, program: Callable[[aio.Hub], Awaitable[Any]]) -> Any:
    """The program with a hub of its own, in a loop of its own."""

    async def main() -> Any:
        async with aio.connect(daemon.run_dir, source="test") as hub:
            return await program(hub)

    return asyncio.run(main())


async def kill(daemon: Daemon, *names: str) -> None:
    """SIGKILL actors without holding up the loop."""
    for name in names:
        await asyncio.to_thread(daemon.kill, name)
