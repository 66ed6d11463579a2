"""Metrics and health of a real daemon, as a scraper sees them."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.metrics.server import LONGEST, MOST
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Scraped:
    """A daemon, and the port of its metrics."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.port = port

    def get(self, path: str, accept: str = "") -> tuple[int, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Accept": accept}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def value(self, name: str, **labels: str) -> float:
        _, text = self.get("/metrics")
        (found,) = (
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
        return found


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    port = free_port()
    config = f"{CONFIG}[metrics]\nenabled = true\nport = {port}\n"
    with Daemon(tmp_path_factory.mktemp("metrics"), config) as daemon:
        yield Scraped(daemon, port)


def test_what_is_served_is_what_happened(scraped: Scraped) -> None:
    hub = scraped.daemon.hub
    for number in range(40):
        hub.events.emit("n", number)
    hub.flush(timeout=TIMEOUT)
    hub.sessions.put("s1", {})
    assert hub.sessions.get("s1") is not None
    assert hub.sessions.get("nobody") is None

    def is_there() -> bool:
        return scraped.value("holdfast_last_seq") >= 40

    scraped.daemon.until(is_there)
    assert scraped.value("holdfast_ring_events") >= 40
    assert scraped.value("holdfast_actor_handled_total", actor="writer") > 0
    count = scraped.value("holdfast_actor_handling_seconds_count", actor="sessions")
    assert count >= 3
    assert scraped.value("holdfast_actor_handling_seconds_bucket", actor="sessions", le="+Inf") >= 3
    assert scraped.value("holdfast_sessions_hits_total") >= 1
    assert scraped.value("holdfast_sessions_misses_total") >= 1
    assert scraped.value("holdfast_actor_state", actor="log", state="running") == 1
    assert scraped.value("holdfast_answers", part="query") == 1


def test_the_page_and_the_dashboard_name_what_is_served(scraped: Scraped) -> None:
    """Every metric, in both directions; what has no sample now has its type line."""
    _, text = scraped.get("/metrics")
    served = set(re.findall(r"^# TYPE (holdfast_\w+) \w+$", text, re.MULTILINE))
    page = (ROOT / "docs" / "METRICS.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(holdfast_\w+)` \|", page, re.MULTILINE)) == served
    board = (ROOT / "configs" / "grafana.json").read_text(encoding="utf-8")
    assert json.loads(board)["title"] == "holdfast"
    used = {
        re.sub(r"_bucket$", "", name)
        for name in re.findall(r"holdfast_\w+", board.split("panels")[1])
    }
    assert len(used) > 20
    assert used <= served


def test_openmetrics_is_served_to_who_asks_for_it(scraped: Scraped) -> None:
    code, text = scraped.get("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert code == 200
    assert text.endswith("# EOF\n")


def test_the_commands_of_the_page_run(scraped: Scraped) -> None:
    page = (ROOT / "docs" / "METRICS.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh health\n(.*?)```", page, re.DOTALL)
    script = script.replace("9464", str(scraped.port))
    done = subprocess.run(["bash", "-euc", script], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("holdfast_ring_events ")


def test_ready_is_no_more_while_a_child_is_down_and_healthy_it_is(scraped: Scraped) -> None:
    daemon = scraped.daemon
    ready = '{"ok": true, "problems": []}\n'
    daemon.until(lambda: scraped.get("/readyz") == (200, ready))
    daemon.hub.supervision.terminate_child("files")
    daemon.until(lambda: scraped.get("/readyz")[0] == 503)
    assert "files is stopped" in scraped.get("/readyz")[1]
    assert scraped.get("/healthz") == (200, ready)
    daemon.hub.supervision.restart_child("files")
    daemon.until(lambda: scraped.get("/readyz") == (200, ready))


def test_a_writer_that_does_not_answer_is_not_ready(scraped: Scraped) -> None:
    with scraped.daemon.paused("writer"):
        scraped.daemon.until(lambda: "writer does not answer" in scraped.get("/readyz")[1])
        assert scraped.get("/readyz")[0] == 503
        assert scraped.get("/healthz")[0] == 200


@pytest.mark.slow  # six deaths
def test_deaths_of_the_metrics_restart_nobody_else(scraped: Scraped) -> None:
    daemon = scraped.daemon
    before = {child: daemon.pid(child) for child in ("state", "writer", "agents", "edge")}
    for _ in range(6):  # more than the default of other supervisors allows
        daemon.wait_for_another("metrics", daemon.kill("metrics"))
    assert {child: daemon.pid(child) for child in before} == before

    def serves() -> bool:
        try:
            return scraped.get("/healthz")[0] == 200
        except OSError:
            return False

    daemon.until(serves)


@pytest.mark.slow  # waits for time limits
def test_slow_and_silent_scrapers_are_cut_off_and_hurt_nobody(scraped: Scraped) -> None:
    silent = [socket.create_connection(("127.0.0.1", scraped.port)) for _ in range(MOST + 4)]
    for sock in silent:
        sock.settimeout(LONGEST + TIMEOUT)
    assert scraped.daemon.hub.state.create("agent", {}, timeout=1.0)
    assert silent[-1].recv(1) == b""  # no room: at once
    assert silent[0].recv(1) == b""  # its time is over
    for sock in silent:
        sock.close()
    scraped.daemon.until(lambda: scraped.get("/healthz")[0] == 200)


@pytest.mark.slow  # waits for time limits
def test_while_another_program_has_the_port_the_tree_runs(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = f"{CONFIG}[metrics]\nenabled = true\nport = {port}\n"
        with Daemon(tmp_path, config) as daemon:
            scraped = Scraped(daemon, port)
            assert daemon.child("metrics").state == "running"
            other.close()

            def serves() -> bool:
                try:
                    return scraped.get("/healthz")[0] == 200
                except OSError:
                    return False

            daemon.until(serves)
            assert "trying on" in (tmp_path / "var/lib/log/metrics.log").read_text()
