"""``holdfast init`` and ``new-agent``: files to begin with, and the config that names them.

Nothing that is there is overwritten; a config that would be refused is not written.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Final

import click

from holdfast.cli.options import json_option
from holdfast.cli.output import Failure, write_line
from holdfast.errors import InvalidInputError

__all__ = ["init", "new_agent"]

CONFIG: Final = "holdfast.toml"
AGENTS: Final = "agents"  # the folder that their files are in; it is no package
FIRST: Final = "hello"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@json_option
def init(folder: Path, as_json: bool) -> None:
    """Write a commented config and an example agent to FOLDER, by default this one.

    Refused, and nothing written, where one of these files exists.
    """
    config, agent = folder / CONFIG, folder / AGENTS / f"{_module(FIRST)}.py"
    for path in (config, agent):
        if path.exists():
            raise Failure(f"{path} exists; `holdfast new-agent NAME` adds an agent to a config")
    name = re.sub(r"[^a-z0-9_-]", "-", folder.absolute().name.lower()).lstrip("0123456789_-")
    text = _template("holdfast.toml").replace("{name}", name[:48] or "default")
    _write_new(agent, _agent_text(FIRST))
    _write_new(config, text + _table(FIRST))
    if as_json:
        write_line(json.dumps({"config": str(config), "agent": str(agent)}))
        return
    there = "" if folder == Path() else f"cd {shlex.quote(str(folder))}\n"
    write_line(f"wrote {config} and {agent}; now:\n{there}holdfast start {CONFIG}")


@click.command("new-agent")
@click.argument("name")
@json_option
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=CONFIG,
    show_default=True,
    help="The config that the agent is added to.",
)
def new_agent(name: str, config: Path, as_json: bool) -> None:
    """Write a file for the agent NAME below agents/, and add the agent to the config.

    Call it where the daemon is started.  Refused, and nothing written, when something of that
    name exists, or the config is not one that starts.
    """
    from holdfast.supervisors.config import load_settings, parse_settings
    from holdfast.supervisors.settings import ACTORS
    from holdfast.supervisors.value_kinds import NAME, NAME_IN_WORDS

    if re.fullmatch(NAME, name) is None:
        raise InvalidInputError(f"{name!r}: expected {NAME_IN_WORDS}")
    settings = load_settings(config)
    if name in {*ACTORS, *settings.supervisors, *settings.agents}:
        raise Failure(f"{config}: there is a child {name!r} already")
    _refuse_other_module(_module(name))
    before = config.read_text(encoding="utf-8")
    after = before.rstrip("\n") + "\n" + _table(name)
    file = Path(AGENTS) / f"{_module(name)}.py"
    _write_new(file, _agent_text(name))
    try:
        parse_settings(after, file=str(config))
        _replace(config, after)
    except BaseException:
        with suppress(OSError):
            file.unlink()
        raise
    if as_json:
        write_line(json.dumps({"config": str(config), "agent": str(file), "name": name}))
        return
    write_line(f"wrote {file}, added [agents.{name}] to {config}")
    write_line("a daemon that runs has it after `holdfast reload`")


def _refuse_other_module(module: str) -> None:
    """A file of ours would hide it, or be hidden by it."""
    from holdfast.supervisors.modules import is_importable

    if is_importable(module, [AGENTS, "."]):
        raise Failure(f"there is a module {module} already: choose another name")


def _module(name: str) -> str:
    # With an ending, so that an agent may be called json or redis.
    return f"{name.replace('-', '_')}_agent"


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in re.split("[-_]", name))


def _agent_text(name: str) -> str:
    return _template("agent.txt").format(name=name, class_name=_class_name(name))


def _table(name: str) -> str:
    text = _template("agent.toml").replace("{name}", name).replace("{module}", _module(name))
    return text.replace("{class_name}", _class_name(name))


def _template(name: str) -> str:
    return (resources.files("holdfast.cli") / "templates" / name).read_text(encoding="utf-8")


def _write_new(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise Failure(f"{path}: cannot be written: {error.strerror}") from None


def _replace(config: Path, text: str) -> None:
    """Whoever reads it, a daemon that watches it for one, finds it whole."""
    target = config.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.chmod(target.stat().st_mode & 0o7777)
        draft.replace(target)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise Failure(f"{config}: cannot be written: {error.strerror}") from None
