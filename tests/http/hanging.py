"""A door whose loop can be made to hang, while the actor's own thread goes on answering."""

from __future__ import annotations

import threading
from typing import Any

from holdfast.http.actor import HttpActor


class HangingDoor(HttpActor):
    """Told "hang", its loop waits for ever."""

    def on_receive(self, message: object) -> Any:
        if message == "hang":
            loop = self._server._loop
            assert loop is not None
            loop.call_soon_threadsafe(threading.Event().wait)
        return super().on_receive(message)
