"""The page of what a program calls, from the signatures and docstrings of what it calls."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import holdfast
from holdfast import aio, errors
from holdfast.actors.hub import Hub
from holdfast.actors.hub_events import HubEvents
from holdfast.actors.hub_relational import HubState
from holdfast.actors.hub_state import (
    HubCache,
    HubCheckpoints,
    HubFiles,
    HubSessions,
    HubSupervision,
    HubTracker,
)

PARTS: Final = {
    "hub": Hub,
    "hub.events": HubEvents,
    "hub.state": HubState,
    "hub.sessions": HubSessions,
    "hub.cache": HubCache,
    "hub.checkpoints": HubCheckpoints,
    "hub.files": HubFiles,
    "hub.tracker": HubTracker,
    "hub.supervisor(NAME)": HubSupervision,
}
BEGIN: Final = """# Python

Everything here is reached from `import holdfast`. Where a call waits for anybody, it takes
`timeout` in seconds. `holdfast.aio` has the same names as coroutines.
"""


def python_reference() -> str:
    """Connecting, each part of the hub, agents and errors."""
    parts = [BEGIN, "## Connecting\n", _call("holdfast.connect", holdfast.connect)]
    parts.append(_call("holdfast.aio.connect", aio.connect))
    for name, kind in PARTS.items():
        parts.append(f"## {name}\n\n{inspect.getdoc(kind) or ''}\n")
        parts += [_call(f"{name}.{each}", value) for each, value in _public(kind)]
    parts.append(f"## holdfast.Agent\n\n{inspect.getdoc(holdfast.Agent) or ''}\n")
    parts += [_call(f"Agent.{each}", value) for each, value in _public(holdfast.Agent)]
    drawn = textwrap.dedent(inspect.getdoc(errors) or "")
    parts.append(f"## Errors\n\n```text\n{drawn}\n```\n")
    return "\n".join(parts)


def _public(kind: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(kind).items():
        is_call = inspect.isfunction(value) or isinstance(value, property)
        if is_call and not name.startswith("_"):
            yield name, value


def _call(name: str, value: Any) -> str:
    said = inspect.getdoc(value) or ""
    if isinstance(value, property):
        return f"### {name}\n\n{said}\n"
    signature = inspect.signature(value)
    shown = [
        each.replace(annotation=_plain(each.annotation))
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    returned = _plain(signature.return_annotation)
    signature = signature.replace(parameters=shown, return_annotation=returned)
    text = str(signature).replace("(/, ", "(").replace("'", "")
    return f"### {name}\n\n```python\n{name}{text}\n```\n\n{said}\n"


def _plain(annotation: Any) -> Any:
    """As it stands in the source, without the quotes of a name that is looked up later."""
    return annotation.strip("'\"") if isinstance(annotation, str) else annotation
