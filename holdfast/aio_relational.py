"""Relational state as an asyncio program uses it; keeps nothing."""

from __future__ import annotations

from holdfast.actors import state_calls, state_reading
from holdfast.actors.calls import Awaited, awaited

__all__ = ["State"]


class State(Awaited):
    """``hub.state``."""

    create = awaited(state_calls.create)
    update = awaited(state_calls.update)
    delete = awaited(state_calls.delete)
    create_many = awaited(state_calls.create_many)
    batch = awaited(state_calls.batch)
    define_type = awaited(state_calls.define_type)
    types = awaited(state_reading.types)
    get = awaited(state_reading.get)
    get_many = awaited(state_reading.get_many)
    query = awaited(state_reading.query)
    count = awaited(state_reading.count)
    history = awaited(state_reading.history)
    relate = awaited(state_calls.relate)
    unrelate = awaited(state_calls.unrelate)
    relationships = awaited(state_reading.relationships)
    count_relationships = awaited(state_reading.count_relationships)
    traverse = awaited(state_reading.traverse)
    push = awaited(state_calls.push)
    pop = awaited(state_calls.pop)
    peek = awaited(state_reading.peek)
    queues = awaited(state_reading.queues)
    delete_queue = awaited(state_calls.delete_queue)
