"""References: proxies, lists, futures, and references inside messages."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pykka
import pytest

from holdfast.actors.proxy import RemoteProxy
from holdfast.actors.ref import RemoteRef
from holdfast.errors import ActorDied, InvalidInputError, RemoteError
from tests.actors.test_agents import AGENT, ROOT, config
from tests.daemon import TIMEOUT, Daemon
from tests.lending import lending

COUNTER = AGENT.format(name="counter", root=ROOT, more="options = { start = 5 }").replace(
    ":Puppet", ":Counter"
)


shared, daemon = lending(config("one", "two") + COUNTER, "one", "counter")


@pytest.fixture
def proxy(daemon: Daemon) -> Any:
    return daemon.hub.ref("counter").proxy()


def test_a_proxy_calls_methods_and_reads_attributes_as_futures(proxy: Any) -> None:
    assert proxy.count.get(timeout=TIMEOUT) == 5
    assert proxy.add(2, times=3).get(timeout=TIMEOUT) == 11
    assert proxy.count.get(timeout=TIMEOUT) == 11


def test_a_proxy_sets_an_attribute(proxy: Any) -> None:
    proxy.count = 40
    assert proxy.add(2).get(timeout=TIMEOUT) == 42


def test_a_deferred_call_comes_in_order(proxy: Any) -> None:
    for _ in range(20):
        proxy.add.defer(1)
    assert proxy.count.get(timeout=TIMEOUT) == 25


def test_an_exception_of_a_method_comes_back(proxy: Any) -> None:
    with pytest.raises(RemoteError, match="KeyError"):
        proxy.fail().get(timeout=TIMEOUT)
    assert proxy.count.get(timeout=TIMEOUT) == 5


def test_a_proxy_reaches_public_names_of_the_agents_own_class_only(
    daemon: Daemon, proxy: Any
) -> None:
    assert sorted(dir(proxy)) == ["add", "call_back", "count", "fail", "who"]
    for name in ("_secret", "hub", "mailbox", "stop", "on_receive", "no_such"):
        with pytest.raises(AttributeError, match="no public attribute"):
            getattr(proxy, name)


@pytest.mark.parametrize("name", ["_secret", "__class__", "mailbox", "hub", "checkpoint"])
def test_what_is_not_public_is_refused_by_the_receiver_too(shared: Daemon, name: str) -> None:
    from holdfast.actors.plain import ProxyCall

    for verb in ("call", "get", "set"):
        with pytest.raises(InvalidInputError, match="is not public"):
            shared.hub.ref("counter").ask(ProxyCall(verb, name, [1]), timeout=TIMEOUT)


def test_a_reference_travels_inside_a_message(daemon: Daemon, proxy: Any) -> None:
    one = daemon.hub.ref("one")
    assert proxy.call_back(one).get(timeout=TIMEOUT) == "called back"
    returned = proxy.who().get(timeout=TIMEOUT)
    assert isinstance(returned, RemoteRef)
    assert isinstance(returned, pykka.ActorRef)
    assert isinstance(returned.proxy(), RemoteProxy)


def test_what_cannot_travel_is_refused_where_it_is_sent(daemon: Daemon) -> None:
    with pytest.raises(TypeError, match="a object cannot travel between processes"):
        daemon.hub.ref("one").tell(["echo", object()])
    assert daemon.hub.ref("one").ask(["echo", 1], timeout=TIMEOUT) == 1


def test_a_list_of_asks_is_answered_in_order(daemon: Daemon) -> None:
    answers = daemon.hub.ref("one").ask_all([["echo", n] for n in range(500)], timeout=TIMEOUT)
    assert answers == list(range(500))


def test_futures_of_one_actor_are_answered_whatever_order_they_are_read_in(
    daemon: Daemon,
) -> None:
    ref = daemon.hub.ref("one")
    futures = [ref.ask(["echo", n], block=False) for n in range(50)]
    answers = [future.get(timeout=TIMEOUT) for future in reversed(futures)]
    assert answers == list(reversed(range(50)))


def test_an_ask_of_an_actor_that_is_not_there_fails_at_once_if_told_to(daemon: Daemon) -> None:
    """Scenario 29: on_restarting."""
    ref = daemon.hub.ref("nobody")
    began = time.monotonic()
    with pytest.raises(ActorDied) as died:
        ref.ask(["echo", 1], timeout=TIMEOUT, on_restarting="fail")
    assert not died.value.started
    assert time.monotonic() - began < TIMEOUT / 2
    assert daemon.hub.ref("one").ask(["echo", 1], timeout=TIMEOUT, on_restarting="fail") == 1


def test_an_ask_on_behalf_of_another_takes_no_longer_than_that_one(daemon: Daemon) -> None:
    """The inner ask would wait for a minute; the outer one has half a second."""
    forwarded = ["ask", ["two", ["wait", 60], 60.0]]
    answers = []
    with suppress(pykka.Timeout):  # either of the two, which end at the same time
        answers.append(daemon.hub.ref("one").ask(forwarded, timeout=0.5))
    assert answers in ([], ["AskTimeout"])
    assert daemon.hub.ref("one").ask(["echo", "free again"], timeout=TIMEOUT) == "free again"
    daemon.kill("two")


def test_an_ask_whose_time_is_over_is_not_handled_any_more(daemon: Daemon) -> None:
    ref = daemon.hub.ref("one")
    ref.tell(["wait", 0.4])
    with pytest.raises(pykka.Timeout):
        ref.ask(["remember", "too late"], timeout=0.1)
    assert ref.ask(["recall", None], timeout=TIMEOUT) == []


def test_an_idempotent_ask_is_asked_again_after_a_death(daemon: Daemon, tmp_path: Path) -> None:
    hung = tmp_path / "hung"
    ref = daemon.hub.ref("one")
    future = ref.ask(["hang_once", str(hung)], block=False, timeout=TIMEOUT, idempotent=True)
    daemon.until(hung.exists)
    daemon.kill("one")
    assert future.get(timeout=TIMEOUT) is None
