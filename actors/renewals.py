"""Signs of life of something that takes its time: sent again and again until it is over.

By the hub's background thread or the program's event loop, so also while a handler is at work.
Nothing is kept here but the timer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from holdfast.actors.calls import Work
from holdfast.errors import HoldfastError

__all__ = ["Driver", "Renewal", "renewed"]


class Driver(Protocol):
    """What sends, for threads or for a loop."""

    def send_ask(
        self, to: str, message: object, on_reply: Callable[[Any], None], /, *, idempotent: bool
    ) -> int:
        """Queue a question whose answer is called back."""

    def later(self, delay: float, callback: Callable[[], None], /) -> object:
        """Call back once; raises HoldfastError when it is closed."""


class Renewal:
    """Sends ``message`` every so many seconds until ``stop``."""

    def __init__(self, driver: Driver, to: str, message: object, every: float) -> None:
        self._driver = driver
        self._to = to
        self._message = message
        self._every = every
        self._is_over = False
        driver.later(every, self._again)

    def stop(self) -> None:
        """Send no more."""
        self._is_over = True

    def _again(self) -> None:
        if self._is_over:
            return
        with suppress(HoldfastError):  # closed meanwhile: there is nothing to renew
            send(self._driver, self._to, self._message)
            self._driver.later(self._every, self._again)


@contextmanager
def renewed(driver: Driver, work: Work) -> Iterator[None]:
    """A block that does the work; the other side hears when it fails."""
    renewal = Renewal(driver, work.to, work.renew, work.every)
    try:
        yield
    except BaseException:
        with suppress(HoldfastError):
            send(driver, work.to, work.give_up)
        raise
    finally:
        renewal.stop()


def send(driver: Driver, to: str, message: object) -> None:
    """Ask without waiting for the answer."""
    driver.send_ask(to, message, _ignore, idempotent=True)


def _ignore(_outcome: Any) -> None:
    pass
