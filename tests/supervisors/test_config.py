"""The config file: every key and default, and what is said of what is wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from holdfast.errors import ConfigError
from holdfast.supervisors.accepting import in_words
from holdfast.supervisors.config import load_settings, parse_settings
from holdfast.supervisors.modules import is_importable
from holdfast.supervisors.settings import (
    ACTORS,
    OPTIONAL_ACTORS,
    AgentSettings,
    DaemonSettings,
    HttpSettings,
    MetricsSettings,
    OtelSettings,
    Settings,
    StorageSettings,
    SupervisorSettings,
)

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
LIMITS = '[actors.tracker]\nlimits = {{ a = {{ kind = "token_bucket", {} }} }}'
AGENT = '[agents.a]\nclass = "json:JSONDecoder"\n'

BAD = [
    # what the file holds, and what the error says after the file's name
    ("[dameon]", "[dameon]: unknown table; did you mean daemon?"),
    (
        "[zoo]",
        "[zoo]: unknown table; expected daemon, storage, retention, metrics, otel, http",
    ),
    ("daemon = 1", "daemon = 1: expected a table, [daemon]"),
    ("[actors]\nlog = 1", "[actors] log = 1: expected a table, [actors.NAME]"),
    ('[daemon]\nnmae = "x"', '[daemon] nmae = "x": unknown key; did you mean name?'),
    ("[daemon]\nname = 3", "[daemon] name = 3: expected a name of 1 to 48 characters"),
    ('[daemon]\nname = "../x"', '[daemon] name = "../x": expected a name of 1 to 48'),
    ('[daemon]\ndata_dir = ""', '[daemon] data_dir = "": expected a text that is not empty'),
    ('[daemon]\nlog_level = "LOUD"', '[daemon] log_level = "LOUD": expected one of "TRACE", '),
    ("[daemon]\nlog_max_bytes = 9", "log_max_bytes = 9: expected bytes >= 65536, or 0 for files"),
    ("[daemon]\nlog_backups = -1", "[daemon] log_backups = -1: expected a number, 0 to 1000"),
    ('[storage]\nbackend = "oracle"', 'backend = "oracle": expected one of "sqlite", "memory", '),
    ('[storage]\nbackend = "postgresql"', '[storage] backend = "postgresql": expected dsn, as in'),
    ('[storage]\ndsn = "host=x"', '"sqlite" with dsn: expected backend = "postgresql", or no dsn'),
    ("[storage]\ndsn = 5", "[storage] dsn = 5: expected a text, "),
    ('[storage]\nbackend = "memory"\ndurability = "disk"', 'expected "committed": it has no disk'),
    ('[storage]\ndurability = "yes"', 'durability = "yes": expected one of "committed", "disk"'),
    ("[retention]\nmax_age = -1", "[retention] max_age = -1: expected seconds >= 0"),
    ("[retention]\nmax_cont = 1", "[retention] max_cont = 1"),
    ("[retention]\ntypes = 1", "[retention] types = 1: expected"),
    ('[retention.types."*"]\nmax_count = 1', 'retention.types."*"'),
    ('[retention.types."a*"]\nmax_count = "x"', 'retention.types."a*"'),
    ("[storage]\nsync_interval = inf", "[storage] sync_interval = Infinity: expected seconds > 0"),
    ("[supervisors.root]\nmax_restarts = -1", "max_restarts = -1: expected a whole number >= 0"),
    ("[supervisors.root]\nmax_restarts = true", "max_restarts = true: expected a whole number"),
    ("[supervisors.root]\nmax_seconds = nan", "max_seconds = NaN: expected seconds > 0"),
    ("[supervisors.root]\nbackoff_factor = 0.5", "backoff_factor = 0.5: expected a factor >= 1"),
    ("[supervisors.root]\nbackoff = 9", "backoff_max = 5.0: expected seconds >= backoff"),
    (
        '[supervisors.root]\nstrategy = "all"',
        'strategy = "all": expected one of "one_for_one", "one_for_all", "rest_for_one"',
    ),
    ('[supervisors.root]\nparent = "state"', "[supervisors.root] parent: expected no parent"),
    ('[supervisors.x]\nparent = "y"', '[supervisors.x] parent = "y": expected a supervisor: '),
    (
        '[supervisors.x]\nparent = "y"\n[supervisors.y]\nparent = "x"',
        '[supervisors.x] parent = "y": expected a supervisor that is not below it',
    ),
    ("[supervisors.log]", "[supervisors.log]: expected another name: 'log' is an actor's"),
    ("[actors.logg]", "[actors.logg]: unknown actor; did you mean log?"),
    ("[actors.log]\ncapacity = 1.5", "[actors.log] capacity = 1.5: expected a whole number >= 1"),
    ("[actors.log]\nttl = 1", "[actors.log] ttl = 1: unknown key; expected parent, restart, "),
    ("[actors.sessions]\nttl = -1", "[actors.sessions] ttl = -1: expected seconds > 0"),
    ('[actors.sessions]\nbackend = "disk"', 'backend = "disk": expected "memory" or "redis"'),
    ('[actors.log]\nparent = "writer"', '[actors.log] parent = "writer": expected a supervisor'),
    ('[actors.log]\nrestart = "always"', 'expected one of "permanent", "transient", "temporary"'),
    (
        '[actors.log]\nrestart = "temporary"',
        '[actors.log] restart = "temporary": expected "permanent": senders keep',
    ),
    ("[agents.a]", '[agents.a] has no class: expected class = "module:Class"'),
    ('[agents.a]\nclass = "json"', '[agents.a] class = "json": expected "module:Class"'),
    ('[agents.a]\nclass = "no.pe:X"', "there is no 'no.pe' in "),
    ('[agents.a]\nclass = "json.nope:X"', "there is no 'json.nope' in "),
    ('[agents.log]\nclass = "json:X"', "[agents.log]: expected another name: 'log' is an actor"),
    ('[agents.files]\nclass = "json:X"', "[agents.files]: expected another name"),
    ("[actors.files]\nmax_bytes = 9", "max_bytes = 9: expected a number >= 1048576"),
    (LIMITS.format("rate = nan, burst = 1"), "expected a table of rate limits"),
    (LIMITS.format("rate = 1.0, burst = 0"), "expected a table of rate limits"),
    (LIMITS.format("rate = 1.0, burst = 1, bust = 2"), "expected a table of rate limits"),
    ('[agents.state]\nclass = "json:X"', "[agents.state]: expected another name: 'state' is a su"),
    ('[agents."A/b"]\nclass = "json:X"', '[agents."A/b"]: expected a name of 1 to 48 characters'),
    (AGENT + AGENT, "line 3: not TOML: Cannot declare ('agents', 'a') twice"),
    (AGENT + "handler_timeout = -1", "handler_timeout = -1: expected seconds >= 0"),
    (AGENT + 'shutdown = "soon"', 'shutdown = "soon": expected seconds >= 0, "infinity" or "brut'),
    (AGENT + "nice = -5", "nice = -5: expected a whole number, 0 to 19"),
    (AGENT + "significant = 1", "significant = 1: expected a boolean"),
    (
        '[supervisors.agents]\nmax_failed_starts = "never"',
        'max_failed_starts = "never": expected a whole number >= 0, or "auto"',
    ),
    (
        "[supervisors.agents]\nmax_failed_starts = 0\nmax_restarts = 50",
        "[supervisors.agents] max_restarts = 50 within max_seconds = 30.0 cannot be reached: "
        "with this backoff the restarts of a child that always fails take 221.3 s",
    ),
    (
        "[supervisors.agents]\nheartbeat_interval = 6.0",
        "[supervisors.agents] heartbeat_timeout = 10.0: expected 0, or at least 2 x heartbeat_int",
    ),
    (AGENT + "options = {at = 2026-01-01}", '[agents.a] options.at = "2026-01-01": expected texts'),
    (AGENT + "options = {n = 18446744073709551616}", "options.n = 18446744073709551616: expected"),
    (AGENT + "options = {x-y = 1}", "options.x-y = 1: expected the name of a keyword argument"),
    (AGENT + 'listen = "localhost:1"', '[agents.a] listen = "localhost:1": expected an "IP:PORT"'),
    (AGENT + 'env = {"a=b" = "x"}', '[agents.a] env."a=b" = "...": expected a name without'),
    (AGENT + 'python_path = "x"', '[agents.a] python_path = "x": expected a list of directories'),
    ("[daemon]\nname =", "line 2: not TOML: Invalid value"),
    ("\n[daemon\n", "line 2: not TOML: "),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_what_is_wrong_is_named_with_what_is_accepted(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(text, file="my.toml")
    assert str(error.value).startswith("my.toml: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff", "not UTF-8 (byte 0)"), (None, "cannot be read: No such file")]
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{path}: {said}')}"):
        load_settings(path)


def tables() -> dict[str, type[msgspec.Struct]]:
    """Every table by name, with its type."""
    found: dict[str, type[msgspec.Struct]] = {
        "daemon": DaemonSettings,
        "storage": StorageSettings,
        "metrics": MetricsSettings,
        "otel": OtelSettings,
        "http": HttpSettings,
        "agents.NAME": AgentSettings,
    }
    found |= {f"supervisors.{name}": SupervisorSettings for name in ("root", "state", "agents")}
    actors: dict[str, type[msgspec.Struct]] = {**ACTORS, **OPTIONAL_ACTORS}
    return found | {f"actors.{name}": type_ for name, type_ in actors.items()}


def uncommented_agent(text: str) -> str:
    """default.toml with its example agent in force."""
    head, _, agent = text.partition("# [agents.planner]")
    return head + "[agents.planner]" + re.sub("^# ", "", agent, flags=re.MULTILINE)


def test_default_toml_says_every_default() -> None:
    path = CONFIGS / "default.toml"
    assert load_settings(path) == msgspec.structs.replace(
        parse_settings("", file="nothing"), file=str(path)
    )


def test_default_toml_has_every_key() -> None:
    document = tomllib.loads(uncommented_agent((CONFIGS / "default.toml").read_text()))
    for name, type_ in tables().items():
        table: dict[str, Any] = document
        for part in name.replace("NAME", "planner").split("."):
            table = table[part]
        keys = {field.encode_name for field in msgspec.structs.fields(type_)}
        assert set(table) == keys - ({"parent"} if name == "supervisors.root" else set()), name


def test_the_example_agent_of_default_toml_says_every_default() -> None:
    text = uncommented_agent((CONFIGS / "default.toml").read_text())
    text = text.replace("my_agents:Planner", "json:JSONDecoder")
    agent = parse_settings(text, file="default.toml").agents["planner"]
    assert agent == AgentSettings(target="json:JSONDecoder")


def test_demo_toml_is_sound() -> None:
    settings = load_settings(CONFIGS / "demo.toml")
    assert list(settings.agents) == ["replay-1", "replay-2", "replay-3"]
    assert {table.max_restarts for table in settings.supervisors.values()} == {100}


def test_every_key_says_what_it_accepts() -> None:
    for name, type_ in tables().items():
        for key, hint in get_type_hints(type_, include_extras=True).items():
            if not key.startswith("__"):
                assert re.match(r"an? |\"|one of |seconds|0:", in_words(hint)), (name, key)


def test_the_order_of_actors_is_the_start_order_whatever_the_file_says() -> None:
    settings = parse_settings("[actors.checkpoints]\n[actors.writer]\n", file="x")
    assert list(settings.actors) == [
        "writer",
        "query",
        "log",
        "sessions",
        "checkpoints",
        "files",
        "tracker",
    ]


def test_more_supervisors_can_be_named() -> None:
    settings = parse_settings(
        '[supervisors.crew]\nparent = "agents"\n' + AGENT + 'parent = "crew"\n', file="x"
    )
    assert list(settings.supervisors) == ["root", "state", "agents", "crew"]
    assert settings.agents["a"].parent == "crew"


def test_a_setting_cannot_be_changed() -> None:
    settings: Settings = parse_settings("", file="x")
    with pytest.raises(AttributeError):
        settings.daemon.name = "y"  # type: ignore[misc]  # that is the point


def test_looking_for_a_module_imports_nothing(tmp_path: Path) -> None:
    package = tmp_path / "trap"
    package.mkdir()
    for name in ("__init__", "door"):
        (package / f"{name}.py").write_text("raise SystemExit('imported')\n")
    assert is_importable("trap.door", [str(tmp_path)])
    assert not is_importable("trap.window", [str(tmp_path)])
    assert not is_importable("trap.door", [])


def test_a_module_of_nested_folders_without_init_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "outer" / "middle" / "inner"
    folder.mkdir(parents=True)
    (folder / "door.py").touch()
    assert is_importable("outer.middle.inner.door", [str(tmp_path)])
    assert not is_importable("outer.middle.inner.window", [str(tmp_path)])


def test_the_gateway_is_there_only_where_it_is_enabled_and_takes_no_name_before() -> None:
    assert "gateway" not in parse_settings("[actors.gateway]\ntimeout = 1.0", file="x").actors
    found = parse_settings("[actors.gateway]\nenabled = true", file="x").actors["gateway"]
    assert found.parent == "agents"
    agent = '[agents.gateway]\nclass = "json:JSONDecoder"\n'
    assert "gateway" in parse_settings(agent, file="x").agents
    with pytest.raises(ConfigError, match="'gateway' is an actor's"):
        parse_settings(f"{agent}[actors.gateway]\nenabled = true", file="x")
    with pytest.raises(ConfigError, match="did you mean gateway"):
        parse_settings("[actors.gatewy]", file="x")
