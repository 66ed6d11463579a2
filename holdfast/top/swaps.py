"""A move of the data as a line of ``top``: how far it is, what became of it.  Pure."""

from __future__ import annotations

from typing import Final

from holdfast.actors.messages.swap import SwapRecord, SwapStatus
from holdfast.cli.output import printable

__all__ = ["swap_line", "swapped_line"]

BAR: Final = 20  # characters


def swap_line(status: SwapStatus, width: int) -> str:
    """Phase, rows, rate, what remains; what is needed least comes last.  A bar where it fits."""
    if status.is_cut:
        what = f"SWAP cut off, {status.phase}: the next reload goes on with it"
        return printable(f"{what}  {status.source} to {status.target}")
    where = f" {status.table}" if status.phase == "copying" and status.table else ""
    parts = [f"SWAP {status.phase}{where}"]
    share = min(1.0, status.rows / status.total) if status.total else 0.0
    if status.total:
        parts.append(f"{100 * share:.0f} %")
        parts.append(f"{status.rows:,} of {status.total:,} rows")
        parts.append(f"{status.rate:,.0f} rows/s")
    if status.phase == "copying" and status.remaining is not None:
        parts.append(f"{status.remaining:.0f} s left")
    if status.behind:
        parts.append(f"{status.behind:,} behind")
    parts.append(f"{status.source} to {status.target}")
    text = printable("  ".join(parts))
    if status.total and len(text) + BAR + 4 <= width:
        text += "  [" + ("#" * round(BAR * share)).ljust(BAR, ".") + "]"
    return text


def swapped_line(record: SwapRecord) -> str:
    """How it ended."""
    if not record.ok:
        return printable(f"SWAP failed, {record.phase}: {record.error}")
    proven = ", verified" if record.verified else ""
    held = f", held {record.pause * 1000:.0f} ms" if record.pause else ""
    return printable(
        f"SWAP done{proven}: {record.rows:,} rows in {record.seconds:.1f} s{held}  "
        f"{record.source} to {record.target}"
    )
