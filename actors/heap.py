"""What malloc keeps of memory that was freed: given back to the system when there is time.

Nothing is owned here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

__all__ = ["give_back"]

# glibc has it; where the C library does not, there is nothing to do.
_malloc_trim: Final[Callable[[int], int] | None] = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Return free pages to the system; takes a millisecond.

    A burst of large frames leaves some 7 MiB with malloc otherwise, which nobody uses again.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)
