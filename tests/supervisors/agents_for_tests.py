"""Tiny actors for trees under test; each is a promise broken or kept in one way."""

from __future__ import annotations

import os

from holdfast.actors.host import HostedActor


class Idle(HostedActor):
    """Answers with its pid."""

    def on_receive(self, message: object) -> object:
        return {"pid": os.getpid(), "message": message}
