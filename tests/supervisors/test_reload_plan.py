"""What another config means: each key has its way, and no secret is in a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from holdfast.actors.sessions import SessionLimits
from holdfast.actors.tracker import TrackerLimits
from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.in_place import ALWAYS, IN_PLACE, ON_DATABASE, STORAGE
from holdfast.supervisors.plan import environment_of
from holdfast.supervisors.reload_plan import Plan, plan_of
from holdfast.supervisors.settings import (
    ACTORS,
    OPTIONAL_ACTORS,
    AgentSettings,
    Settings,
    StorageSettings,
)

AGENT: Final = '[agents.planner]\nclass = "json:Planner"\n'


def settings(text: str) -> Settings:
    return parse_settings(text, file="x.toml")


def planned(old: str, new: str, **kept: str) -> Plan:
    before, after = settings(old), settings(new)
    environments = [
        environment_of(
            each,
            data_dir=Path(kept.get("data_dir", f"/{each.daemon.data_dir}")),
            run_dir=Path("/", each.daemon.run_dir),
        )
        for each in (before, after)
    ]
    return plan_of(before, after, *environments)


def changed(plan: Plan) -> dict[str, tuple[str, list[tuple[str, str, str]]]]:
    """The lines that say something, by name."""
    return {
        line.name: (line.action, [(each.key, each.old, each.new) for each in line.changes])
        for line in plan.lines
        if line.action != "unchanged"
    }


def test_the_same_file_changes_nothing() -> None:
    plan = planned(AGENT, f"# a comment\n{AGENT}")
    assert plan.is_empty
    assert [line.name for line in plan.lines] == [
        "default",
        "database",
        "root",
        "state",
        "agents",
        *ACTORS,
        "planner",
    ]


@pytest.mark.parametrize(
    ("table", "name", "action", "change"),
    [
        (
            "[daemon]\nlog_level = 'DEBUG'",
            "default",
            "in place",
            ("log_level", '"INFO"', '"DEBUG"'),
        ),
        ("[daemon]\nwatch = true", "default", "in place", ("watch", "false", "true")),
        ("[supervisors.root]\nmax_restarts = 7", "root", "in place", ("max_restarts", "5", "7")),
        ("[supervisors.state]\nstrategy = 'one_for_all'", "state", "in place", None),
        ("[actors.writer]\nhandler_timeout = 7", "writer", "in place", None),
        ("[actors.writer]\nnice = 7", "writer", "restart", ("nice", "0", "7")),
        ("[actors.log]\ncapacity = 7", "log", "in place", ("capacity", "10000", "7")),
        ("[actors.sessions]\nttl = 7.0", "sessions", "in place", ("ttl", "7200.0", "7.0")),
        ("[actors.sessions]\nmemory_max = 700000000", "sessions", "restart", None),
        ("[actors.checkpoints]\non_stop = false", "checkpoints", "in place", None),
        (
            "[storage]\npayload_bytes = 7",
            "writer",
            "in place",
            ("storage.payload_bytes", "8192", "7"),
        ),
        (
            "[storage]\nfull_text = true",
            "writer",
            "restart",
            ("storage.full_text", "false", "true"),
        ),
        ("[storage]\ndurability = 'disk'", "files", "restart", None),
        ("[storage]\nsync_interval = 7.0", "files", "in place", None),
        ("[retention]\nmax_age = 7.0", "writer", "in place", ("retention.max_age", "0.0", "7.0")),
        (
            '[retention.types."a:*"]\nmax_count = 7',
            "writer",
            "in place",
            ("retention.types.a:*", "", '{"max_age": 0.0, "max_count": 7, "max_bytes": 0}'),
        ),
        ("[agents.other]\nclass = 'json:Other'", "other", "add", None),
        ("[supervisors.other]", "other", "add", None),
    ],
)
def test_each_change_is_said_with_what_it_takes(
    table: str, name: str, action: str, change: tuple[str, str, str] | None
) -> None:
    plan = planned(AGENT, f"{table}\n{AGENT}")
    assert plan.refusals == []
    did, changes = changed(plan)[name]
    assert did == action
    if change is not None:
        assert changes == [change]


def test_what_is_not_named_any_more_is_removed() -> None:
    assert changed(planned(f"[supervisors.team]\n{AGENT}", "")) == {
        "team": ("remove", []),
        "planner": ("remove", []),
    }


def test_the_order_of_retention_counts() -> None:
    one, two = '[retention.types."a"]\nmax_count = 1\n', '[retention.types."*b"]\nmax_count = 2\n'
    action, changes = changed(planned(one + two, two + one))["writer"]
    assert (action, changes) == ("in place", [("retention.types", '["a", "*b"]', '["*b", "a"]')])


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "also secret")
    old = AGENT + 'options = { key = "secret one", n = 1 }\nenv = { TOKEN = "secret two" }\n'
    new = AGENT + 'options = { key = "env:KEY", n = 2, l = ["s3"] }\nenv = { TOKEN = "secret 4" }\n'
    action, changes = changed(planned(old, new))["planner"]
    assert action == "restart"
    assert changes == [
        ("options.key", '"..."', '"env:KEY"'),
        ("options.n", "1", "2"),
        ("options.l", "", '["..."]'),
        ("env.TOKEN", '"..."', '"..."'),
    ]


def test_the_class_of_an_agent_is_called_as_in_the_file() -> None:
    _, changes = changed(planned(AGENT, AGENT.replace("Planner", "Other")))["planner"]
    assert changes == [("class", '"json:Planner"', '"json:Other"')]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[daemon]\nname = 'other'", '[daemon] name = "other": expected "default"'),
        ("[daemon]\ndata_dir = 'other'", "move the directory"),
        ("[daemon]\nrun_dir = 'other'", "every client looks for the daemon there"),
        ("[daemon]\nlog_dir = 'other'", "[daemon] log_dir"),
        ("[actors.files]\npath = 'other'", "move the folder"),
        ("[actors.log]\nparent = 'root'", "[actors.log] parent"),
        ("[supervisors.state]\nparent = 'agents'", "[supervisors.state] parent"),
    ],
)
def test_what_no_reload_can_change_is_refused_with_what_to_do(table: str, words: str) -> None:
    plan = planned("", table)
    (refusal,) = plan.refusals
    assert words in refusal
    assert "x.toml: [" in refusal
    assert "stop the daemon" in refusal


def test_a_directory_that_an_option_has_set_may_be_named_otherwise() -> None:
    plan = planned("", "[daemon]\ndata_dir = 'other'", data_dir="/given")
    assert (plan.refusals, plan.is_empty) == ([], True)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgres://me:secret@host/db password=no", "postgres://...@host/db password=..."),
        ("postgres://me:sec/r@t@host/db", "postgres://...@host/db"),
        (r"password = 'no\'secret' host=h", "password = ... host=h"),
        (r"password=no\ secret host=h", "password=... host=h"),
    ],
)
def test_another_database_is_a_swap_and_shows_no_secret(dsn: str, shown: str) -> None:
    before = settings("")
    after = msgspec.structs.replace(before, storage=StorageSettings(backend="postgresql", dsn=dsn))
    environment = environment_of(before, data_dir=Path("/d"), run_dir=Path("/r"))
    plan = plan_of(before, after, environment, environment)
    shown = f'"{shown}"'
    changes = [("backend", '"sqlite"', '"postgresql"'), ("dsn", '""', shown)]
    assert changed(plan)["database"] == ("swap", changes)
    assert {name for name, (action, _) in changed(plan).items() if action == "restart"} == {
        *ON_DATABASE
    }
    assert plan.refusals == []


def test_another_path_is_a_swap_and_other_keys_of_storage_are_none() -> None:
    assert changed(planned("", "[storage]\npath = 'b.db'"))["database"][0] == "swap"
    plan = planned("", "[storage]\nmigrate = 'empty'\nhold_timeout = 1.0")
    assert changed(plan)["database"][0] == "in place"
    assert list(changed(plan)) == ["database"]
    plan = planned("", "[storage]\noutage_timeout = 1.0")
    assert changed(plan) == {"writer": ("restart", [("storage.outage_timeout", "60.0", "1.0")])}


@pytest.mark.parametrize("name", [*ACTORS, *OPTIONAL_ACTORS, "agent"])
def test_every_key_that_is_taken_in_place_is_there(name: str) -> None:
    type_: Any = {**ACTORS, **OPTIONAL_ACTORS}.get(name, AgentSettings)
    assert set(type_.__struct_fields__) >= IN_PLACE[name] | ALWAYS


def test_what_actors_are_told_is_what_is_taken_in_place() -> None:
    assert set(SessionLimits.__struct_fields__) == IN_PLACE["sessions"]
    assert set(TrackerLimits.__struct_fields__) == IN_PLACE["tracker"]
    assert set(settings("").storage.__struct_fields__) >= set(STORAGE)
