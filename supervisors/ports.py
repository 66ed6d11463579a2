"""TCP addresses that children listen on: made here, and kept while a child restarts.

Connections queue in the kernel meanwhile, as they do for Unix sockets.  Lost with the supervisor.
"""

from __future__ import annotations

import socket
from typing import Final

from loguru import logger

__all__ = ["PORT", "Ports", "listening_at"]

PORT: Final = "/port"  # the descriptor's name in a fork request; no actor can be called so


def listening_at(address: str) -> socket.socket:
    """A socket that listens at ``IP:PORT``, or ``[IP]:PORT`` of version 6.  Raises OSError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
        made.listen(socket.SOMAXCONN)
    except (OSError, OverflowError, ValueError) as error:
        made.close()
        raise OSError(f"{address}: {getattr(error, 'strerror', None) or error}") from error
    return made


class Ports:
    """One for each child that has an address."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, socket.socket]] = {}

    def keep(self, child: str, address: str) -> socket.socket | None:
        """What the child's next life listens with; None while another program has the address."""
        known = self._kept.get(child)
        if known is not None and known[0] == address:
            return known[1]
        self.drop(child)
        try:
            made = listening_at(address)
        except OSError as error:
            logger.warning("{} starts without its address: {}", child, error)
            return None
        self._kept[child] = address, made
        return made

    def drop(self, child: str) -> None:
        """Nobody listens there any more."""
        if (known := self._kept.pop(child, None)) is not None:
            known[1].close()

    def close(self) -> None:
        """All of them."""
        for child in list(self._kept):
            self.drop(child)
