"""docs/STREAMS.md and docs/RETENTION.md: their examples run as they stand."""

from __future__ import annotations

from holdfast.supervisors.config import parse_settings
from tests.daemon import Daemon
from tests.examples.test_pages import blocks, run_example


def test_the_example_of_the_page_on_streams_runs(daemon: Daemon) -> None:
    assert run_example(daemon, "STREAMS.md").splitlines() == [
        "it is at 2 and not at 1",
        "2 order:paid {'cents': 1200}",
        "3 order:sent None",
        "2 3",
    ]


def test_the_rules_of_the_page_on_retention_are_sound() -> None:
    (config,) = blocks("RETENTION.md", "toml")
    retention = parse_settings(config, file="x").retention
    assert list(retention.types) == ["tool:*", "audit:*"]
    assert retention.max_age == 30 * 86_400
