"""Groups of commands: each command shows its example, and a mistyped name the nearest one."""

from __future__ import annotations

from collections.abc import Iterable

import click

from holdfast.cli.examples import EXAMPLES
from holdfast.cli.nearest import nearest

__all__ = ["Commands"]


class _Formatter(click.HelpFormatter):
    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Names of options take half of the screen at most, however narrow that is."""
        super().write_dl(list(rows), min(col_max, self.width // 2), col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter


class Commands(click.Group):
    """A group whose commands have an example in their help."""

    context_class = _Context

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, with its example below its options."""
        command = super().get_command(ctx, cmd_name)
        if command is None:
            return None
        command.context_class = _Context
        if command.epilog is None:
            examples = EXAMPLES.get(_path(ctx, cmd_name), "").splitlines()
            if examples:
                # \b keeps click from wrapping: a line is there to be copied.
                command.epilog = "\n".join(["\b", "Example:", *(f"  {each}" for each in examples)])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a name that is not there is answered with the nearest."""
        name = args[0]
        is_option = name.startswith("-")
        if is_option or ctx.resilient_parsing or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        close = nearest(name, self.list_commands(ctx))
        # Somewhere else there may be just this: `holdfast tail` for `holdfast events tail`.
        elsewhere = [path for path in EXAMPLES if path.split()[-1] == name]
        if elsewhere and (close is None or len(elsewhere) == 1):
            meant = " or ".join(f"`holdfast {path}`" for path in elsewhere)
        elif close is not None:
            meant = f"`{ctx.command_path} {close}`"
        else:
            ctx.fail(f"no command {name!r}.")
        ctx.fail(f"no command {name!r}; did you mean {meant}?")


def _path(ctx: click.Context, name: str) -> str:
    """Of a command below the group of ``ctx``, without the program's own name."""
    return " ".join([*ctx.command_path.split()[1:], name])
