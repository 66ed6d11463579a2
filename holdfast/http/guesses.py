"""Wrong tokens: counted, told in the log, and answered more slowly the more of them come.

Who has the token waits for nobody.  Lost with the process: how many came lately.
"""

from __future__ import annotations

import asyncio
from typing import Final

from loguru import logger

from holdfast.clock import Clock
from holdfast.http.figures import HttpFigures

__all__ = ["Guesses"]

# A token has 16 characters or more: this is not what keeps it from being found, but what keeps a
# mistake, or somebody who tries, from costing the door its time, and from going unnoticed.
AT_ONCE: Final = 20  # are answered without waiting
RATE: Final = 10.0  # a second beyond those, whoever they are from
LONGEST: Final = 5.0  # seconds that one waits at most
TOLD: Final = 60.0  # seconds between two lines in the log


class Guesses:
    """Those of one life of the door."""

    def __init__(self, figures: HttpFigures, clock: Clock) -> None:
        self._figures = figures
        self._clock = clock
        self._turn = 0.0  # when the newest one is answered (monotonic)
        self._untold = 0
        self._told_at = -TOLD

    async def wait(self, client: tuple[str, int] | None) -> None:
        """Note one from ``client``, and return when it is to be answered."""
        now = self._clock.monotonic()
        self._figures.denied += 1
        self._tell(now, client)
        turn = max(self._turn, now - AT_ONCE / RATE) + 1 / RATE
        self._turn = min(turn, now + LONGEST)
        if self._turn > now:
            await asyncio.sleep(self._turn - now)

    def _tell(self, now: float, client: tuple[str, int] | None) -> None:
        self._untold += 1
        if now - self._told_at < TOLD:
            return
        logger.warning(
            "{} requests with a wrong token, the newest from {}",
            self._untold,
            client[0] if client else "nowhere",
        )
        self._untold, self._told_at = 0, now
