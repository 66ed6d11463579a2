"""An agent that emits more than its outbox holds."""

from __future__ import annotations

import holdfast
from holdfast.errors import OutboxFullError


class Flooder(holdfast.Agent):
    """Emits as many events as it is asked to; the answer says what became of them at once."""

    def on_receive(self, message: object) -> dict[str, int]:
        assert isinstance(message, int)
        events = self.hub.events
        for n in range(message):
            try:
                events.emit("n", n)
            except OutboxFullError:
                break
        return {"accepted": events.accepted, "rejected": events.rejected}
