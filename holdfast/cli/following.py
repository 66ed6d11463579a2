"""A reload that is waited for, and how far the swap in it is, on standard error meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from holdfast.cli.changing import ChangingLine
from holdfast.cli.daemon import connected
from holdfast.cli.output import Failure
from holdfast.errors import DeliveryError

if TYPE_CHECKING:
    from holdfast.actors.messages.reload import Reloaded
    from holdfast.actors.messages.swap import SwapStatus

__all__ = ["line_of", "reload_and_follow"]

LOOK: Final = 0.2  # seconds between two looks at how far it is
IN_FILE: Final = 2.0  # seconds between two lines where nobody watches
LONG: Final = 20 * 86_400.0  # seconds; the end of the wait is decided here
GOES_ON: Final = (
    "the reload goes on in the daemon: `holdfast swap status` says how far it is, `holdfast swap "
    "cancel` ends it"
)


def reload_and_follow(run_dir: Path, timeout: float) -> Reloaded:
    """Have it done, and tell how far it is.  Raises Failure, ReloadError, ConfigError.

    ``timeout`` seconds without a sign of progress are too many.
    """
    asking = _Asking(run_dir)
    shown = _Shown()
    try:
        with connected(run_dir) as hub:
            asking.start()
            deadline = time.monotonic() + timeout
            last: SwapStatus | None = None
            while not asking.is_done.wait(LOOK):
                if time.monotonic() > deadline:
                    raise Failure(f"not reloaded within {timeout:g} s; {GOES_ON}")
                with suppress(DeliveryError):  # it is asked again
                    status = hub.supervision.swap(timeout=5.0).status
                    if status is not None and not status.is_cut and _moves(status, last):
                        last, deadline = status, time.monotonic() + timeout
                        shown(status)
    except KeyboardInterrupt:
        shown.close()
        click.echo(f"holdfast: {GOES_ON}", err=True)
        raise click.exceptions.Exit(130) from None
    finally:
        shown.close()
    return asking.outcome()


def line_of(status: SwapStatus) -> str:
    """For people."""
    what = f"{status.source} to {status.target}: {status.phase}"
    if status.is_cut:
        what += ", cut off: `holdfast reload` goes on with it, `holdfast swap cancel` gives it up"
        return what
    if status.phase == "copying" and status.table:
        what += f" {status.table}"
    if status.total:
        what += f", {status.rows:,} of {status.total:,} rows, {status.rate:,.0f} rows/s"
    if status.phase == "copying" and status.remaining is not None:
        what += f", {status.remaining:.0f} s left"
    if status.resumed:
        what += f" ({status.resumed:,} were there)"
    if status.behind:
        what += f", {status.behind:,} rows behind"
    return what


class _Asking(threading.Thread):
    """The question, in a thread and over a connection of its own."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(daemon=True)
        self._run_dir = run_dir
        self._done: Reloaded | None = None
        self._error: BaseException | None = None
        self.is_done = threading.Event()

    def run(self) -> None:
        """Until it is answered."""
        try:
            with connected(self._run_dir) as hub:
                self._done = hub.supervision.reload(timeout=LONG)
        except BaseException as error:  # raised where it is waited for
            self._error = error
        finally:
            self.is_done.set()

    def outcome(self) -> Reloaded:
        """Raises what went wrong."""
        if self._error is not None:
            raise self._error
        assert self._done is not None
        return self._done


class _Shown:
    """One line that changes on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._line = ChangingLine()
        self._phase, self._at = "", 0.0

    def __call__(self, status: SwapStatus) -> None:
        now = time.monotonic()
        if self._line.is_terminal or status.phase != self._phase or now - self._at >= IN_FILE:
            self._phase, self._at = status.phase, now
            self._line.show(line_of(status))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._line.close()


def _moves(status: SwapStatus, last: SwapStatus | None) -> bool:
    if last is None:
        return True
    return (status.swap, status.phase, status.rows) != (last.swap, last.phase, last.rows)
