"""The page of every key of the config file, from the types that decode it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.supervisors import settings

ROOT: Final = Path(__file__).resolve().parents[2]
HEADING: Final = "| key | accepts | default |\n|---|---|---|\n"
SIMPLE: Final = {
    "null": "none",
    "object": "a table",
    "boolean": "a boolean",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
}


def configuration() -> str:
    """Every table with its keys, and the file that has them all."""
    tables = "\n".join(_table(name, kind) for name, kind in _tables())
    example = (ROOT / "configs" / "default.toml").read_text(encoding="utf-8")
    return (
        "# Configuration\n\nOne TOML file describes a daemon. An unknown key, or a value that is "
        "not accepted, is refused with its place in the file.\n\n"
        f"{tables}\n## configs/default.toml\n\n```toml\n{example}```\n"
    )


def _tables() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    yield "[daemon]", settings.DaemonSettings
    yield "[storage]", settings.StorageSettings
    yield "[retention]", settings.RetentionSettings
    yield "[supervisors.NAME]", settings.SupervisorSettings
    for name, kind in settings.ACTORS.items():
        yield f"[actors.{name}]", kind
    yield "[agents.NAME]", settings.AgentSettings


def _table(name: str, kind: type[msgspec.Struct]) -> str:
    said = "\n\n".join(" ".join(part.split()) for part in (kind.__doc__ or "").split("\n\n"))
    _, components = msgspec.json.schema_components(
        [kind], ref_template="{name}", schema_hook=lambda _: {"description": "any value"}
    )
    keys = components[kind.__name__]["properties"]
    tag = kind.__struct_config__.tag_field
    rows = [
        f"| `{key}` | {_accepted(keys[key])} | {_default(keys[key])} |"
        for key in keys
        if key != tag
    ]
    return f"## {name}\n\n{said}\n\n{HEADING}" + "\n".join(rows) + "\n"


def _accepted(key: dict[str, Any]) -> str:
    if "description" in key:
        text = str(key["description"])
    elif "enum" in key:
        text = ", ".join(f'"{value}"' for value in key["enum"])
    elif "anyOf" in key:
        text = " or ".join(dict.fromkeys(_accepted(each) for each in key["anyOf"]))
    elif "items" in key:
        text = f"a list: {_accepted(key['items'])}"
    else:
        text = SIMPLE.get(str(key.get("type")), "a table")
    return text.replace("|", "\\|")


def _default(key: dict[str, Any]) -> str:
    if "default" not in key:
        return "to be given"
    return f"`{msgspec.json.encode(key['default']).decode()}`"
