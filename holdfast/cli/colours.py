"""Colours of lines: on a terminal only, and not with NO_COLOR or a terminal that has none.

What is drawn by rich (``output.console``) goes by the same rule.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final, Literal

import click

from holdfast.severities import Severity

__all__ = ["STYLES", "Style", "columns", "painted"]

Style = Literal["dim", "name", "warning", "error", "good"]

# As rich understands them, for trees and tables.
STYLES: Final[dict[Severity, str]] = {"info": "cyan", "warning": "yellow", "error": "bold red"}


def columns() -> int | None:
    """How wide the terminal is that standard output is; None when it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def painted(text: str, style: Style) -> str:
    """The text, in colour where somebody sees it."""
    if not _has_colours():
        return text
    match style:
        case "dim":
            return click.style(text, dim=True)
        case "name":
            return click.style(text, fg="cyan")
        case "warning":
            return click.style(text, fg="yellow")
        case "error":
            return click.style(text, fg="red", bold=True)
        case "good":
            return click.style(text, fg="green")


def _has_colours() -> bool:
    return (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") not in ("dumb", "unknown")
    )
