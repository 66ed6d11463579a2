"""The commands by name, and what each way of failing exits with.

Loads click and the command that was called, nothing more: ``start`` forks the tree from this
process, and every child would carry the rest.
"""

from __future__ import annotations

import errno
import shutil
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Final, NoReturn

import click
from click.shell_completion import CompletionItem

from holdfast.cli.groups import Commands
from holdfast.cli.output import Failure, flush, printable_lines, unwritable, write_line
from holdfast.errors import ConfigError, DaemonNotFoundError, HoldfastError, InvalidInputError

__all__ = ["commands", "run"]

_COMMANDS: Final = {
    "backup": "holdfast.cli.backup:backup",
    "checkpoints": "holdfast.cli.checkpoints:checkpoints",
    "completion": "holdfast.cli.completion:completion",
    "deadletters": "holdfast.cli.deadletters:deadletters",
    "doctor": "holdfast.cli.doctor:doctor",
    "events": "holdfast.cli.events:events",
    "files": "holdfast.cli.files:files",
    "init": "holdfast.cli.scaffold:init",
    "logs": "holdfast.cli.logs:logs",
    "new-agent": "holdfast.cli.scaffold:new_agent",
    "reload": "holdfast.cli.reload:reload",
    "restart": "holdfast.cli.children:restart",
    "restore": "holdfast.cli.restore:restore",
    "send": "holdfast.cli.sending:send",
    "sessions": "holdfast.cli.sessions:sessions",
    "start": "holdfast.cli.start:start",
    "state": "holdfast.cli.state:state",
    "status": "holdfast.cli.status:status",
    "stop": "holdfast.cli.stop:stop",
    "swap": "holdfast.cli.swap:swap",
    "top": "holdfast.cli.top:top",
    "trace": "holdfast.cli.event_trees:trace",
    "tracker": "holdfast.cli.tracker:tracker",
    "verify": "holdfast.cli.verify:verify",
}
_EXIT_CODES: Final[tuple[tuple[type[HoldfastError], int], ...]] = (
    (ConfigError, 3),
    (DaemonNotFoundError, 4),
    (InvalidInputError, 2),
    (HoldfastError, 1),
)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_MISSING: Final = 69  # EX_UNAVAILABLE of sysexits.h


class _LazyGroup(Commands):
    """A group that imports a command's module when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            module, _, attribute = _COMMANDS[cmd_name].partition(":")
            self.add_command(getattr(import_module(module), attribute), cmd_name)
        return super().get_command(ctx, cmd_name)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # Names only: for their help every module would be loaded, and somebody waits.
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*map(CompletionItem, names), *options]


@click.group(cls=_LazyGroup)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, option, value: value and _say_versions(context),
    help="Print the versions of holdfast and SQLite, and exit.",
)
@click.pass_context
def commands(context: click.Context) -> None:
    """Run and ask a tree of supervised processes that own an agent daemon's state."""
    if context.invoked_subcommand != "start":  # that one is stopped by it, in order
        signal.signal(signal.SIGTERM, _terminated)


def _say_versions(context: click.Context) -> NoReturn:
    import apsw

    from holdfast import __version__

    write_line(f"holdfast {__version__}, SQLite {apsw.sqlite_lib_version()}")
    context.exit()


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code.

    0 done, 1 refused or not found, 2 bad usage, 3 bad configuration or input file, 4 no daemon
    there, 5 the daemon gave up, 69 something needed is missing, 130 and 143 interrupted.
    """
    try:
        result = commands.main(
            list(arguments), prog_name="holdfast", standalone_mode=False, terminal_width=_width()
        )
        flush()
        return result if isinstance(result, int) else 0
    except click.Abort:
        return 130
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except HoldfastError as error:
        _complain(str(error))
        return _exit_code(error)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _complain(str(unwritable(error)))  # by what prints elsewhere: tables, help
        return 1
    except ModuleNotFoundError as error:
        _complain(f"{error.name} is not installed: python -m pip install {error.name}")
        return _MISSING


def _width() -> int:
    """Of help.  click's own is never below 50."""
    return max(20, min(80, shutil.get_terminal_size().columns) - 2)


def _exit_code(error: HoldfastError) -> int:
    if isinstance(error, Failure):
        return error.code
    return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(143)


def _complain(text: str) -> None:
    # What an actor or a server answered may stand in it.
    click.echo(f"holdfast: {printable_lines(text)}", err=True)
