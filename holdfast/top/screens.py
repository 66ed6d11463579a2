"""What lies above the main screen: a question before an order, and all about one actor."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import chop_cells
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Footer, Static

from holdfast.top.lines import Lines

__all__ = ["About", "Sure"]


class Sure(ModalScreen[bool]):
    """Asks before something is done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]
    CSS = """
    Sure { align: center middle; }
    Sure > Vertical { width: 36; max-width: 90%; height: auto; border: solid $warning; }
    """

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question, and the two keys."""
        with Vertical():
            yield Static(f"{self._question}\n\ny yes   n no", markup=False, id="question")

    def action_answer(self, answer: bool) -> None:
        """It is decided."""
        self.dismiss(answer)


class About(Screen[None]):
    """One actor; who put it up keeps it new."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,left", "app.pop_screen", "Back"),
        Binding("r", "app.order('restart')", "Restart"),
        Binding("s", "app.order('stop')", "Stop"),
    ]

    def __init__(self, actor: str) -> None:
        super().__init__()
        self.actor = actor

    def compose(self) -> ComposeResult:
        """Lines, and the keys."""
        yield Lines(id="about", has_cursor=False)
        yield Footer(compact=True)

    def show(self, texts: list[str]) -> None:
        """What is known now."""
        width = max(10, self.size.width - 1)  # beside the scrollbar
        wrapped = [(part, "") for text in texts for part in chop_cells(text, width) or [""]]
        for lines in self.query(Lines):  # there are none yet, or none any more
            lines.show("", wrapped)
