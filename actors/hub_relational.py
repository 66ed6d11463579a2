"""Relational state as a synchronous program uses it; keeps nothing."""

from __future__ import annotations

from holdfast.actors import state_calls, state_reading
from holdfast.actors.calls import Blocking, blocking

__all__ = ["HubState"]


class HubState(Blocking):
    """``hub.state``."""

    create = blocking(state_calls.create)
    update = blocking(state_calls.update)
    delete = blocking(state_calls.delete)
    create_many = blocking(state_calls.create_many)
    batch = blocking(state_calls.batch)
    define_type = blocking(state_calls.define_type)
    types = blocking(state_reading.types)
    get = blocking(state_reading.get)
    get_many = blocking(state_reading.get_many)
    query = blocking(state_reading.query)
    count = blocking(state_reading.count)
    history = blocking(state_reading.history)
    relate = blocking(state_calls.relate)
    unrelate = blocking(state_calls.unrelate)
    relationships = blocking(state_reading.relationships)
    count_relationships = blocking(state_reading.count_relationships)
    traverse = blocking(state_reading.traverse)
    push = blocking(state_calls.push)
    pop = blocking(state_calls.pop)
    peek = blocking(state_reading.peek)
    queues = blocking(state_reading.queues)
    delete_queue = blocking(state_calls.delete_queue)
