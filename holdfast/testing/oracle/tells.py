"""What agents handled against journals: everything, in order, again only where it was said so.

At least once is what is promised: a repeat is marked as redelivered, and what killed its agent
twice is a dead letter.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import suppress

from holdfast.testing.oracle.lives import Handled, Life
from holdfast.testing.oracle.verdict import Verdict

__all__ = ["check_tells"]

_Handled = dict[tuple[str, str], list[list[Handled]]]  # by agent and sender: of each life


def check_tells(viewer: sqlite3.Connection, lives: list[Life], verdict: Verdict) -> None:
    """An agent's journals have its name and its ``order``, in which its lives followed.

    A client tells it ``[life, n]``.
    """
    handled: _Handled = defaultdict(list)
    agents = [life for life in lives if "agent" in life.header]
    for agent in sorted(agents, key=lambda life: life.header["order"]):
        by_sender: dict[str, list[Handled]] = defaultdict(list)
        for each in agent.handled:
            by_sender[each.sender].append(each)
        for sender, these in by_sender.items():
            handled[agent.header["agent"], sender].append(these)
    buried = _buried(viewer)
    known = {life.life: life for life in lives}
    for (agent_name, sender), by_life in handled.items():
        _check_order(agent_name, known.get(sender), sender, by_life, verdict)
    for life in lives:
        if life.level == "disk":
            continue  # what an agent handled is on no disk: nothing is promised of it
        for tell in life.of("tell"):
            name = tell.what["agent"]
            mine = {each.n for these in handled.get((name, life.life), ()) for each in these}
            if tell.is_acknowledged and tell.n not in mine | buried[name, life.life]:
                verdict.add("acknowledged", f"tell {tell.n} of {life.life} to {name}")


def _check_order(
    agent: str, life: Life | None, sender: str, by_life: list[list[Handled]], verdict: Verdict
) -> None:
    seen: set[int] = set()
    highest = 0
    for these in by_life:
        last = 0  # of this life of the agent: a later one may be sent again what it had
        for each in these:
            where = f"tell {each.n} of {sender} to {agent}"
            message = life.messages.get(each.n) if life else None
            if message is None or message.kind != "tell" or message.what["agent"] != agent:
                verdict.add("sent", f"{where} was handled and never sent")
            if each.n in seen and not each.again:
                verdict.add("twice", f"{where}, and not marked as redelivered")
            newest = last if each.n in seen else highest
            if each.n < newest and not (each.n in seen and each.again):
                verdict.add("order", f"{where} behind {newest}")
            seen.add(each.n)
            last, highest = each.n, max(highest, each.n)
    verdict.counts["tell", "handled"] += len(seen)


def _buried(viewer: sqlite3.Connection) -> dict[tuple[str, str], set[int]]:
    """Numbers in dead letters by agent and life."""
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for actor, text in viewer.execute("SELECT actor, message FROM dead_letters"):
        with suppress(ValueError, TypeError):  # somebody else's
            life, n = json.loads(text)
            found[actor, life].add(n)
    return found
