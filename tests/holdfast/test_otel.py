"""Events as a collector of OpenTelemetry gets them, from a real daemon over real HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.errors import ConfigError
from holdfast.metrics.families import Families
from holdfast.metrics.reading import Readings
from holdfast.otel.figures import Figures
from holdfast.otel.records import LOST
from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.otel_settings import OtelSettings
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT
from tests.holdfast.otlp_receiver import Receiver, attributes

OTEL = """
[otel]
enabled = true
endpoint = "http://127.0.0.1:{port}/"
headers = {{ authorization = "env:OTEL_TEST_TOKEN" }}
interval = 0.02
backoff_max = 0.2
data_bytes = 40
batch_events = 20
start = "first"
"""
TYPES = ("plan", "tool:call", "tool:failed")


class Exported:
    """A daemon, and the collector that its events go to."""

    def __init__(self, daemon: Daemon, receiver: Receiver) -> None:
        self.daemon = daemon
        self.receiver = receiver

    def emit(self, count: int, type: str = "n") -> list[int]:
        """So many events; their numbers."""
        hub = self.daemon.hub
        before = hub.events.cursor()
        for number in range(count):
            hub.events.emit(type, number, session="s")
        hub.flush(timeout=TIMEOUT)
        return [event.seq for event in hub.events.query(types=type, after=before, limit=count)]

    def figures(self) -> Figures:
        return msgspec.convert(self.daemon.hub.ask("otel", "figures", timeout=TIMEOUT), Figures)

    def await_all(self, wanted: list[int], receiver: Receiver | None = None) -> list[object]:
        """Until the collector has them; what it has."""
        there = receiver or self.receiver
        there.wait(lambda: set(wanted) <= set(there.seqs()))
        return there.seqs()


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TEST_TOKEN", "Bearer 123")


def config(receiver: Receiver, more: str = "") -> str:
    return CONFIG + OTEL.format(port=receiver.port) + more


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    with pytest.MonkeyPatch.context() as patch, Receiver() as receiver:
        patch.setenv("OTEL_TEST_TOKEN", "Bearer 123")
        with Daemon(tmp_path_factory.mktemp("otel"), config(receiver)) as daemon:
            yield Exported(daemon, receiver)


def test_a_correlation_is_one_trace_and_its_causes_are_parents(exported: Exported) -> None:
    hub, receiver = exported.daemon.hub, exported.receiver
    at = 1_700_000_000_000_000
    hub.events.emit("plan", {"goal": "x" * 100}, key="p", correlation="request 1", time_us=at)
    hub.events.emit("tool:call", {"n": 1}, key="c", cause="p", session="s", time_us=at + 2_000)
    hub.events.emit("tool:failed", None, cause="c", time_us=at + 5_000)
    hub.flush(timeout=TIMEOUT)
    receiver.wait(lambda: {*TYPES} <= {span.name for span in receiver.spans})
    plan, call, failed = (
        next(each for each in receiver.spans if each.name == type) for type in TYPES
    )
    assert plan.trace_id == call.trace_id == failed.trace_id
    assert (plan.parent_span_id, call.parent_span_id) == (b"", plan.span_id)
    assert failed.parent_span_id == call.span_id
    # From the cause to the event.
    assert plan.start_time_unix_nano == plan.end_time_unix_nano == at * 1000
    assert call.start_time_unix_nano == at * 1000
    assert failed.start_time_unix_nano == call.end_time_unix_nano == (at + 2_000) * 1000
    assert failed.end_time_unix_nano == (at + 5_000) * 1000
    assert (failed.status.code, call.status.code) == (2, 0)
    record = next(each for each in receiver.logs if each.event_name == "plan")
    assert (record.trace_id, record.span_id) == (plan.trace_id, plan.span_id)
    assert record.time_unix_nano == at * 1000
    assert record.body.string_value == '{"goal":"' + "x" * 31  # 40 bytes of it
    found = attributes(record)
    assert found["holdfast.correlation"] == "request 1"
    assert found["holdfast.data.bytes"] == 111
    assert found["log.record.uid"] == f"test/{found['holdfast.seq']}"
    call_record = next(each for each in receiver.logs if each.event_name == "tool:call")
    assert attributes(call_record)["session.id"] == "s"
    failure = next(each for each in receiver.logs if each.event_name == "tool:failed")
    assert (failure.severity_text, call_record.severity_text) == ("ERROR", "INFO")
    service = attributes(receiver.resources[0])
    assert (service["service.name"], service["service.instance.id"]) == ("holdfast", "test")
    assert receiver.headers[0]["authorization"] == "Bearer 123"


def test_a_trace_id_for_a_correlation_stands_for_itself(exported: Exported) -> None:
    hub, receiver = exported.daemon.hub, exported.receiver
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    given = (
        trace,
        f"{trace[:8]}-{trace[8:12]}-4da6-a3ce-929d0e0e4736",
        f"00-{trace}-{'1' * 16}-01",
    )
    for correlation in given:
        hub.events.emit("joined", correlation=correlation)
    hub.flush(timeout=TIMEOUT)

    def joined() -> list[str]:
        return [each.trace_id.hex() for each in receiver.logs if each.event_name == "joined"]

    receiver.wait(lambda: len(joined()) == 3)
    assert joined() == [trace] * 3


def test_every_event_comes_once_and_in_order_in_bounded_batches(exported: Exported) -> None:
    wanted = exported.emit(100)
    seqs = exported.await_all(wanted)
    assert [seq for seq in seqs if seq in set(wanted)] == wanted
    assert max(exported.receiver.sizes) <= 20
    exported.daemon.until(lambda: exported.figures().behind == 0)
    figures = exported.figures()
    assert figures.logs >= 100
    assert figures.spans >= 100
    assert not figures.away


def test_the_figures_are_among_the_metrics(exported: Exported) -> None:
    exported.await_all(exported.emit(1))
    exported.daemon.until(lambda: Readings(exported.daemon.hub, otel=True).newest().otel)
    families = {
        each.name: each
        for each in Families(Readings(exported.daemon.hub, otel=True).newest()).collect()
    }
    (logs,) = families["holdfast_otel_logs"].samples
    assert logs.value >= 1
    nobody = Readings(exported.daemon.hub).newest()  # an agent of a user's may have the name
    assert nobody.otel is None


def test_what_a_collector_does_not_answer_well_is_sent_again(exported: Exported) -> None:
    receiver = exported.receiver
    failures = exported.figures().failures
    busy: tuple[int, dict[str, str]] = (503, {"Retry-After": "0"})
    receiver.answers.extend([busy, (429, {}), (401, {}), (302, {})])
    wanted = exported.emit(5)
    seqs = exported.await_all(wanted)
    assert [seq for seq in seqs if seq in set(wanted)] == wanted
    assert exported.figures().failures >= failures + 4


@pytest.mark.parametrize("rejects", [-(2**40), 2**40])
def test_counts_that_a_collector_makes_up_are_not_believed(
    exported: Exported, rejects: int
) -> None:
    receiver, before = exported.receiver, exported.figures()
    receiver.rejects = rejects
    try:
        exported.await_all(exported.emit(5))
        exported.daemon.until(lambda: exported.figures().behind == 0)
    finally:
        receiver.rejects = 0
    after = exported.figures()
    assert after.logs >= before.logs
    assert 0 <= after.rejected - before.rejected <= 5 + len(receiver.sizes)


def test_what_is_refused_is_found_alone_counted_and_told(exported: Exported) -> None:
    receiver = exported.receiver
    receiver.refuses = lambda record: "poison" in str(record)
    wanted = exported.emit(7)
    exported.daemon.hub.events.emit("poison")
    after = exported.emit(7, "after")
    exported.await_all(wanted + after)
    receiver.wait(lambda: any(each.event_name == LOST for each in receiver.logs))
    (lost,) = (attributes(each) for each in receiver.logs if each.event_name == LOST)
    assert (lost["holdfast.lost.reason"], lost["holdfast.lost.count"]) == ("refused", 1)
    assert lost["holdfast.lost.first"] == wanted[-1] + 1
    assert exported.figures().refused == 1


def test_a_killed_exporter_goes_on_where_it_was(exported: Exported) -> None:
    """With a collector that is away meanwhile: nothing is in its hands, so nothing comes twice."""
    receiver, daemon = exported.receiver, exported.daemon
    exported.daemon.until(lambda: exported.figures().behind == 0)
    before = receiver.seqs()
    receiver.answers.extend([(503, {})] * 1_000)
    wanted = exported.emit(50)
    daemon.until(lambda: exported.figures().away)
    daemon.wait_for_another("otel", daemon.kill("otel"))
    wanted += exported.emit(50)
    receiver.answers.clear()
    seqs = exported.await_all(wanted)
    assert [seq for seq in seqs if seq in set(wanted)] == wanted
    assert not set(before) & set(seqs[len(before) :])
    (subscriber,) = daemon.hub.events.subscribers()
    assert (subscriber.name, subscriber.owner) == ("otel", "agent/otel")


def test_the_page_names_every_key_and_its_config_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TOKEN", "x")
    page = (ROOT / "docs" / "OPENTELEMETRY.md").read_text(encoding="utf-8")
    (config,) = re.findall(r"```toml otel\n(.*?)```", page, re.DOTALL)
    assert parse_settings(config, file="page").agents["otel"].options["service_name"] == "planner"
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    assert {*OtelSettings.__struct_fields__} - {"enabled"} <= named


BAD = (
    ('endpoint = "127.0.0.1:4318"', "[otel] endpoint"),
    ('endpoint = "http://me:secret@host"', "[otel] endpoint"),
    ("logs = false\nspans = false", "expected one of them to be true"),
    ('headers = { "a b" = "x" }', "is no name of a header"),
    ('headers = { a = "env:NOT_THERE_AT_ALL" }', "expected a variable that is set"),
    ('headers = { a = "sec\\r\\nret" }', "expected printable ASCII"),
    ('certificate = "not-there.pem"', "expected a file that can be read"),
    ("batch_events = 1", "[otel] batch_events = 1: expected a number, 10 to 1000"),
    ("interval = -1", "[otel] interval = -1: expected seconds >= 0"),
)


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said[:30] for _, said in BAD])
def test_what_is_wrong_in_its_table_is_named_and_no_secret_is(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(f"[otel]\nenabled = true\n{text}\n", file="my.toml")
    assert said in str(error.value)
    assert "sec" not in str(error.value).replace("seconds", "").replace('secret"', "")


@pytest.mark.slow  # three daemons' worth of deaths
def test_deaths_of_all_repeat_and_never_skip(tmp_path: Path, token: None) -> None:
    """SIGKILL of the collector, which comes back at its port; of the exporter; of the log."""
    receiver = Receiver()
    with Daemon(tmp_path, config(receiver)) as daemon:
        exported = Exported(daemon, receiver)
        wanted = exported.emit(200)
        exported.await_all(wanted)
        came: list[object] = []
        for victim in ("collector", "otel", "log", "collector", "otel", "writer"):
            if victim == "collector":
                receiver.__exit__()
                came += receiver.seqs()
                wanted += exported.emit(200)
                daemon.until(lambda: exported.figures().away)
                receiver = Receiver(receiver.port)
            else:
                wanted += exported.emit(100)
                daemon.wait_for_another(victim, daemon.kill(victim))
                wanted += exported.emit(100)
        exported.await_all(wanted[-100:], receiver)
        came += receiver.seqs()
        assert set(wanted) <= set(came)
        firsts = [seq for seq in dict.fromkeys(came) if seq in set(wanted)]
        assert firsts == wanted
    receiver.__exit__()


@pytest.mark.slow  # a daemon of its own
def test_a_killed_collector_process_is_waited_for_and_nobody_else_is(
    tmp_path: Path, token: None
) -> None:
    program = """
import sys
from tests.holdfast.otlp_receiver import Receiver
print(Receiver().port, flush=True)
sys.stdin.read()
"""
    arguments = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as collector:
        assert collector.stdout is not None
        port = int(collector.stdout.readline())
        with Daemon(tmp_path, CONFIG + OTEL.format(port=port)) as daemon:
            pids = {name: daemon.pid(name) for name in ("log", "writer", "otel", "edge")}
            hub = daemon.hub

            def figures() -> Figures:
                return msgspec.convert(hub.ask("otel", "figures", timeout=TIMEOUT), Figures)

            hub.events.emit("before")
            daemon.until(lambda: figures().logs >= 1)
            collector.kill()
            collector.wait()
            hub.events.emit("meanwhile")
            hub.flush(timeout=TIMEOUT)
            daemon.until(lambda: figures().away)
            with Receiver(port) as receiver:
                receiver.wait(lambda: "meanwhile" in [each.event_name for each in receiver.logs])
            assert {name: daemon.pid(name) for name in pids} == pids


@pytest.mark.slow  # a daemon of its own
def test_what_was_pruned_meanwhile_is_counted_and_told(tmp_path: Path, token: None) -> None:
    bounds = "[retention]\nmax_count = 10\nperiod = 0.1\nignore_subscribers = true\n"
    with Receiver() as receiver, Daemon(tmp_path, config(receiver, bounds)) as daemon:
        exported = Exported(daemon, receiver)
        exported.await_all(exported.emit(1))
        receiver.answers.extend([(503, {})] * 100_000)
        exported.emit(1, "first")
        daemon.until(lambda: exported.figures().away)
        for _ in range(8):
            exported.emit(200)
        daemon.until(lambda: not daemon.hub.events.query(types="first"))
        daemon.wait_for_another("otel", daemon.kill("otel"))
        receiver.answers.clear()
        receiver.wait(lambda: any(each.event_name == LOST for each in receiver.logs))
        lost = next(attributes(each) for each in receiver.logs if each.event_name == LOST)
        assert lost["holdfast.lost.reason"] == "pruned"
        assert exported.figures().pruned > 1_000


@pytest.mark.slow  # a daemon of its own
def test_no_more_events_wait_for_a_collector_than_may(tmp_path: Path, token: None) -> None:
    config_ = config(receiver := Receiver()).replace("[otel]", "[otel]\nmax_behind = 50")
    with receiver, Daemon(tmp_path, config_) as daemon:
        exported = Exported(daemon, receiver)
        receiver.answers.extend([(503, {})] * 100_000)
        wanted = exported.emit(500)
        daemon.until(lambda: exported.figures().given_up >= 430)
        daemon.until(lambda: exported.figures().behind <= 50 + 20)
        receiver.answers.clear()
        exported.await_all(wanted[-1:])

        def told() -> int:
            lost = [attributes(each) for each in receiver.logs if each.event_name == LOST]
            assert {each["holdfast.lost.reason"] for each in lost} <= {"given_up"}
            return sum(msgspec.convert(each["holdfast.lost.count"], int) for each in lost)

        given_up = exported.figures().given_up
        receiver.wait(lambda: told() == given_up)
        assert len(set(wanted) - set(receiver.seqs())) <= given_up
