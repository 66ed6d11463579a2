"""What the command line says to who mistypes, asks for help, or presses the tab key."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from holdfast.cli.app import commands
from holdfast.cli.event_patterns import unmatched
from holdfast.cli.examples import EXAMPLES
from holdfast.cli.nearest import hint
from tests import forkserver
from tests.commandline import completed, environment
from tests.daemon import TIMEOUT
from tests.holdfast.conftest import ROOT, Run


def below(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, by the words that call it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if not isinstance(command, click.Group):
            yield name, command
            continue
        inner = click.Context(command, info_name=name, parent=context)
        for path, each in below(command, inner):
            yield f"{name} {path}", each


def parsed(words: list[str]) -> click.Command:
    """The command that would run; its arguments are read as when it runs."""
    command: click.Command = commands
    context: click.Context | None = None
    name = "holdfast"
    while True:
        context = command.make_context(name, words, parent=context)
        if not isinstance(command, click.Group):
            return command
        rest = [*context._protected_args, *context.args]
        found, inner, words = command.resolve_command(context, rest)
        assert found is not None
        assert inner is not None
        name, command = found, inner


def test_every_command_has_an_example_that_it_would_accept() -> None:
    there = dict(below(commands, click.Context(commands, info_name="holdfast")))
    assert set(EXAMPLES) == set(there)
    for path, text in EXAMPLES.items():
        for line in text.splitlines():
            _, _, line = line.rpartition(" | ")
            words = shlex.split(line.removeprefix('eval "$(').removesuffix(')"'))
            assert words[0] == "holdfast"
            assert parsed(words[1:]) is there[path], line


def test_every_command_of_the_page_would_be_accepted() -> None:
    """It runs in tests/examples/test_cli_page.py, which is slow."""
    page = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh \w+\n(.*?)```", page, re.DOTALL)
    lines = "".join(blocks).splitlines()
    assert len(lines) > 20
    for line in lines:
        words = shlex.split(line.partition(" > ")[0].rpartition(" | ")[2], comments=True)
        assert words[0] == "holdfast"
        words = ["null" if word == "-" else word for word in words]  # of standard input
        cursor = words.index("--cursor") + 1 if "--cursor" in words else None
        if cursor is not None:
            words[cursor] = "1.1"  # the shell would have put one there
        if words[1] != "--version":
            parsed(words[1:])


def test_the_page_lists_every_command_and_says_what_its_help_says() -> None:
    page = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([a-z -]+)` \| (.*) \|$", page, re.MULTILINE))
    there = below(commands, click.Context(commands, info_name="holdfast"))
    wanted = {path: each.get_short_help_str(200).rstrip(".") for path, each in there}
    assert listed == wanted
    for door in ("[metrics]", "[otel]", "[actors.gateway]", "holdfast top"):
        assert f"`{door}`" in page


def test_help_shows_the_example(run: Run) -> None:
    done = run("files", "results", "get", "--help")
    assert done.stdout.endswith("Example:\n    holdfast files results get report\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("statsu", "did you mean `holdfast status`?"),
        ("events qurey", "did you mean `holdfast events query`?"),
        ("files results gte r", "did you mean `holdfast files results get`?"),
        ("strat holdfast.toml", "did you mean `holdfast start`?"),
        ("tail -f", "did you mean `holdfast events tail`?"),
        ("xyzzy", "no command 'xyzzy'."),
        ("status --jsno", "'--json'"),
        ("events query --sicne 1h", "'--since'"),
    ],
)
def test_a_mistyped_command_or_option_is_answered_with_the_nearest(
    run: Run, arguments: str, said: str
) -> None:
    done = run(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr


def test_a_hint_names_the_nearest_or_else_all() -> None:
    names = ["writer", "log", "log"]
    assert hint("wirter", names) == "did you mean writer?"
    assert hint("qqq", names) == "there are log, writer"
    assert hint("qqq", []) == "there are none"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("tool:*", None),
        ("tool:cal", "did you mean tool:call?"),
        ("tol:*", "did you mean tool:*?"),
        ("tool*call", None),
        ("qqq", ""),
    ],
)
def test_a_pattern_that_matches_nothing_is_answered_with_the_nearest(
    pattern: str, said: str | None
) -> None:
    lines = list(unmatched([pattern], ["tool:call", "tool:result", "plan"]))
    if said is None:
        assert lines == []
    else:
        (line,) = lines
        assert repr(pattern) in line
        assert line.endswith(said)


def test_the_tab_key_completes_commands_and_options(tmp_path: Path) -> None:
    assert completed(tmp_path, "st") == ["start", "state", "status", "stop"]
    assert completed(tmp_path, "events", "qu") == ["query"]
    assert completed(tmp_path, "events", "query", "--sin") == ["--since"]


def test_without_a_daemon_the_tab_key_offers_no_actor_and_says_nothing(tmp_path: Path) -> None:
    assert completed(tmp_path, "restart", "wr") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert f"_HOLDFAST_COMPLETE={shell}_complete" in done.stdout


def test_help_fits_40_columns(tmp_path: Path) -> None:
    done = forkserver.run(
        "holdfast",
        "events",
        "query",
        "--help",
        folder=tmp_path,
        environment=environment(COLUMNS="40"),
        stdin="",
        timeout=TIMEOUT,
    )
    usage = done.stdout.partition("Example:")[0]  # that one is there to be copied
    assert all(len(line) <= 40 for line in usage.splitlines())
