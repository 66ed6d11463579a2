"""What is optional and faces outwards: not imported unless enabled, named when it is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from holdfast.errors import ConfigError
name, module, package = sys.argv[1:]
sys.modules[module.partition(".")[0]] = None
from holdfast.supervisors import child, tree, config, edge
apart = f"holdfast.{name}", "google"
assert not [each for each in sys.modules if each.startswith(apart)]
edge.is_importable = lambda name, path: name != module
try:
    config.parse_settings(f"[{name}]\\nenabled = true", file="my.toml")
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("http", "uvicorn", "uvicorn"),
        ("metrics", "prometheus_client", "prometheus-client"),
        ("otel", "opentelemetry.proto.logs", "opentelemetry-proto"),
    ],
)
def test_without_an_extra_nothing_of_it_is_imported_and_a_config_says_what_is_missing(
    name: str, module: str, package: str
) -> None:
    command = [sys.executable, "-c", PROGRAM, name, module, package]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == (
        f"my.toml: [{name}] enabled = true: expected {package} to be installed: "
        f"pip install 'holdfast[{name}]'\n"
    )
