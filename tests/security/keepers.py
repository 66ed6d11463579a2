"""An agent that was given secrets."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

import holdfast

__all__ = ["Keeper"]


class Keeper(holdfast.Agent):
    """Tells what it was given by digests only."""

    def __init__(self, token: str, nested: dict[str, list[str]]) -> None:
        super().__init__()
        self._token = token
        self._nested = nested

    def on_receive(self, message: Any) -> Any:
        found = {"token": self._token, "nested": self._nested["keys"][0]}
        found |= {name: os.environ[name] for name in ("API_KEY", "TOKEN", "PLAIN")}
        if message == "die":
            token = found["token"]
            return len(token) / 0
        return {name: sha256(text.encode()).hexdigest() for name, text in found.items()}
