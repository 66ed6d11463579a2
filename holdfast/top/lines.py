"""A long list of lines with one of them chosen; only what is visible is drawn.

A table of textual's costs a percent of a core for every ten rows that change each second.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

__all__ = ["Lines"]


class Lines(ScrollView, can_focus=True):
    """``top`` stays above the lines.  ``has_cursor`` False: it only scrolls.

    ``follows``: who looks at the last line looks at the last line again when there are more.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("enter", "choose", "Details", show=False),
    ]

    class Chosen(Message):
        """Enter was pressed on line ``index``."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str, has_cursor: bool = True, follows: bool = False) -> None:
        super().__init__(id=id)
        self._head = ""
        self._texts: list[tuple[str, str]] = []  # each with its style
        self._has_cursor = has_cursor
        self._follows = follows
        self.cursor = 0

    def show(self, head: str, texts: list[tuple[str, str]]) -> None:
        """Other lines."""
        was_at_end = self.scroll_offset.y >= self.max_scroll_y
        self._head, self._texts = head, texts
        self.cursor = max(0, min(self.cursor, len(texts) - 1))
        self.virtual_size = Size(self.size.width, len(texts) + bool(head))
        if was_at_end and self._follows:
            self.scroll_end(animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        if self._head and y == 0:
            return Strip([Segment(self._head.ljust(width)[:width], Style(bold=True, dim=True))])
        index = y - bool(self._head) + self.scroll_offset.y
        if not 0 <= index < len(self._texts):
            return Strip.blank(width)
        text, style = self._texts[index]
        is_chosen = self._has_cursor and index == self.cursor
        shown = Style.parse(style) + Style(reverse=is_chosen)
        return Strip([Segment(text.ljust(width)[:width], shown)])

    def action_move(self, by: int) -> None:
        """Choose another line, or scroll."""
        if not self._has_cursor:
            self.scroll_relative(y=by, animate=False)
            return
        self.cursor = max(0, min(self.cursor + by, len(self._texts) - 1))
        self.scroll_to_region(
            Region(0, self.cursor, 1, 1 + bool(self._head)), animate=False, force=True
        )
        self.refresh()

    def action_choose(self) -> None:
        """Say which it is."""
        if self._has_cursor and self._texts:
            self.post_message(self.Chosen(self.cursor))
