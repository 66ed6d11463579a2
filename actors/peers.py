"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import os
import socket
import struct

__all__ = ["is_own", "peer_uid"]


def peer_uid(sock: socket.socket) -> int:
    """The uid of who connected, or of who listens; as it was when that was done."""
    return int(struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])


def is_own(sock: socket.socket) -> bool:
    """Whether it is the user of this process.  Nobody else is spoken to, root included."""
    return peer_uid(sock) == os.geteuid()
