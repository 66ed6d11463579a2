"""Specs of agents under test, wherever their classes stand."""

from __future__ import annotations

from typing import Any

from holdfast.supervisors.settings import AgentSettings
from holdfast.supervisors.spec import ChildSpec
from tests.supervisors.trees import PROJECT


def agent(
    name: str, target: str, *, limits: dict[str, Any] | None = None, **options: Any
) -> ChildSpec:
    """A child that runs ``module:Class`` of this folder; ``options`` go to its constructor."""
    run = AgentSettings(
        target=f"tests.supervisors.{target}",
        python_path=(str(PROJECT),),
        options=options,
        **(limits or {}),
    )
    return ChildSpec(id=name, run=run, where=f"[agents.{name}] in test.toml")


def starts(name: str, *ways: str) -> ChildSpec:
    """A child that starts programs in these ways."""
    return agent(name, "agents_with_programs:Starts", ways=list(ways))
