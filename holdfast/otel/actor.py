"""The actor that exports events to a collector of OpenTelemetry.

Its place in the log is kept in the database; lost when its process dies: that the collector has
what it has since the last acknowledgement, so that is sent again.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import msgspec

from holdfast.actors.agent import Agent
from holdfast.otel.collector import Collector
from holdfast.otel.exporting import Exporting
from holdfast.otel.figures import Figures
from holdfast.supervisors.otel_settings import OtelSettings

__all__ = ["OtelActor"]

PERIOD: Final = 1.0  # seconds between two looks at the thread
FAREWELL: Final = 0.2  # seconds for what is under way, so that it need not come twice


class Look(msgspec.Struct, frozen=True):
    """Is the thread alive?"""


class OtelActor(Agent):
    """``options`` are the table ``[otel]``.  A thread does the work; whoever asks gets Figures."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        settings = msgspec.convert(options, OtelSettings)
        collector = Collector(
            settings.endpoint,
            headers=settings.headers,
            certificate=settings.certificate,
            compress=settings.compression == "gzip",
            timeout=settings.timeout,
        )
        self._stop_exporting = threading.Event()
        self._figures = Figures()
        exporting = Exporting(
            self.hub, collector, settings, stop=self._stop_exporting, figures=self._figures
        )
        self._thread = threading.Thread(target=exporting.run, daemon=True, name="otel")

    def on_start(self) -> None:
        """Ready at once: that the collector is away is no reason for the tree not to start."""
        self._thread.start()
        self.after(PERIOD, Look())

    def on_receive(self, message: object) -> Figures | None:
        """Tell how it does; and end with the thread, for another life to go on."""
        if not isinstance(message, Look):
            return self._figures
        if not self._thread.is_alive():
            raise RuntimeError("the thread that exports has ended: look at the log above")
        self.after(PERIOD, Look())
        return None

    def on_stop(self) -> None:
        """Without waiting for a collector that does not answer."""
        self._stop_exporting.set()
        self._thread.join(FAREWELL)
