"""``holdfast state``: look at entities, what they were and how they are related; change them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from holdfast.cli.daemon import connected
from holdfast.cli.groups import Commands
from holdfast.cli.options import TIME, ask_timeout, json_option, run_dir_option
from holdfast.cli.output import Failure, moment, printable, write_line
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.state_questions import OPERATORS

if TYPE_CHECKING:
    from holdfast.actors.state_results import Entity, Relationship

__all__ = ["state"]

_SHOWN: Final = 120  # characters of the properties in a line for people
_PAGE: Final = 500  # entities asked for at once
# The longest first: "<=" begins with "<".
_SIGNS: Final = sorted((op for op in OPERATORS if not op.isalpha()), key=len, reverse=True)


@click.group(cls=Commands)
def state() -> None:
    """Entities, their relationships and queues."""


@state.command()
@click.argument("id")
@click.option("--relationships", is_flag=True, help="Those from it and to it as well.")
@click.option("--version", "number", type=click.IntRange(min=1), help="As it was at this version.")
@click.option("--at", type=TIME, help="As it was then: ISO 8601, seconds since 1970, or 10m, 2h.")
@run_dir_option
@json_option
def get(
    id: str, relationships: bool, number: int | None, at: int | None, run_dir: Path, as_json: bool
) -> None:
    """Print one entity."""
    with connected(run_dir) as hub:
        entity = hub.state.get(
            id, relationships=relationships, version=number, at_us=at, timeout=ask_timeout
        )
    if entity is None:
        raise Failure(f"no entity {id!r}, or not then: `holdfast state query` shows what there is")
    if as_json:
        write_line(_as_json(entity))
        return
    write_line(_as_text(entity))
    for one in [*(entity.outgoing or ()), *(entity.incoming or ())]:
        write_line(_edge_text(one))


@state.command()
@click.option("--type", help="Only of this type.")
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="name=value, also != < <= > >=; 'name in [...]', 'name like text%', 'name exists'.  "
    "Values are JSON, or else texts.  Repeatable.",
)
@click.option("--order-by", default="created", show_default=True, help="created, updated, a name.")
@click.option("--descending", is_flag=True, help="The last ones first.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--count", is_flag=True, help="Only how many there are, whatever --limit says.")
@click.option("--group-by", help="With --count: type, or the name of a property.")
@run_dir_option
@json_option
def query(
    type: str | None,
    where: tuple[str, ...],
    order_by: str,
    descending: bool,
    limit: int,
    count: bool,
    group_by: str | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Print the entities that match everything given."""
    conditions = [_condition(text) for text in where]
    with connected(run_dir) as hub:
        if count or group_by is not None:
            found = hub.state.count(
                type=type, where=conditions, group_by=group_by, timeout=ask_timeout
            )
            _print_counts(found, as_json)
            return
        cursor = None
        while limit > 0:
            page = hub.state.query(
                type=type,
                where=conditions,
                order_by=order_by,
                descending=descending,
                limit=min(limit, _PAGE),
                cursor=cursor,
                timeout=ask_timeout,
            )
            for entity in page:
                write_line(_as_json(entity) if as_json else _as_text(entity))
            limit, cursor = limit - len(page), page.cursor
            if cursor is None:
                return


@state.command()
@click.argument("from_id", metavar="ID")
@click.option(
    "--direction", type=click.Choice(["out", "in", "both"]), default="out", show_default=True
)
@click.option("--type", "types", multiple=True, help="Only over relationships of it; repeatable.")
@click.option("--depth", type=click.IntRange(0, 100), default=1, show_default=True)
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True)
@run_dir_option
@json_option
def traverse(
    from_id: str,
    direction: Any,
    types: tuple[str, ...],
    depth: int,
    limit: int,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Print what is reached from an entity, the nearest first."""
    with connected(run_dir) as hub:
        found = hub.state.traverse(
            from_id,
            direction=direction,
            types=types,
            depth=depth,
            limit=limit,
            timeout=ask_timeout,
        )
    if as_json:
        edges = [[r.from_id, r.relation_type, r.to_id] for r in found.relationships]
        whole = {"nodes": found.nodes, "relationships": edges, "is_complete": found.is_complete}
        write_line(json.dumps(whole, ensure_ascii=False))
        return
    for id, distance in found.nodes.items():
        write_line(printable(f"{distance:>3} {id}"))
    for one in found.relationships:
        write_line(_edge_text(one))
    if not found.is_complete:
        click.echo("there is more: raise --limit", err=True)


@state.command()
@click.argument("id")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@run_dir_option
@json_option
def history(id: str, limit: int, run_dir: Path, as_json: bool) -> None:
    """Print what is kept of an entity, the newest version first."""
    with connected(run_dir) as hub:
        versions = hub.state.history(id, limit=limit, timeout=ask_timeout)
    if not versions:
        raise Failure(f"no entity {id!r} ever was")
    for one in versions:
        properties = jsontext.encode(one.properties)
        if as_json:
            head = {"version": one.version, "since_us": one.since_us, "until_us": one.until_us}
            write_line(f'{json.dumps(head)[:-1]}, "properties": {properties}}}')
            continue
        text = "deleted" if one.properties is None else _short(properties)
        write_line(printable(f"{one.version:>5} {moment(one.since_us)} {text}"))


@state.command()
@click.argument("id")
@click.argument("properties", metavar="JSON")
@click.option("--type", help="Create it of this type, unless it is there.")
@click.option("--unset", multiple=True, metavar="NAME", help="Remove a property; repeatable.")
@click.option("--expected-version", type=click.IntRange(min=0))
@run_dir_option
@json_option
def put(
    id: str,
    properties: str,
    type: str | None,
    unset: tuple[str, ...],
    expected_version: int | None,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Set properties of an entity from a JSON object: '{"status": "busy"}'."""
    values = jsontext.decode(properties)
    if not isinstance(values, dict):
        raise InvalidInputError(f"{properties!r:.60}: expected a JSON object")
    if type is not None and unset:
        raise InvalidInputError("--unset is of an entity that is there; leave out --type")
    with connected(run_dir) as hub:
        if type is None:
            entity = hub.state.update(
                id, values, unset=unset, expected_version=expected_version, timeout=ask_timeout
            )
        else:
            entity = hub.state.create(
                type,
                values,
                id=id,
                on_conflict="merge",
                expected_version=expected_version,
                timeout=ask_timeout,
            )
    write_line(_as_json(entity) if as_json else _as_text(entity))


@state.command()
@click.argument("id")
@click.option("--expected-version", type=click.IntRange(min=1))
@run_dir_option
@json_option
def delete(id: str, expected_version: int | None, run_dir: Path, as_json: bool) -> None:
    """Delete an entity, its properties, relationships and queues."""
    with connected(run_dir) as hub:
        existed = hub.state.delete(id, expected_version=expected_version, timeout=ask_timeout)
    if not existed:
        raise Failure(f"no entity {id!r}")
    write_line(json.dumps({"id": id, "deleted": True}) if as_json else printable(f"{id} deleted"))


@state.command()
@click.argument("namespace", required=False)
@click.argument("key", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@run_dir_option
@json_option
def queue(namespace: str | None, key: str | None, limit: int, run_dir: Path, as_json: bool) -> None:
    """Print the queues there are, or the items of one; they stay in it."""
    with connected(run_dir) as hub:
        if namespace is None or key is None:
            for one in hub.state.queues(namespace, limit=limit, timeout=ask_timeout):
                row = {"namespace": one.namespace, "key": one.key, "size": one.size}
                text = printable(f"{one.size:>7} {one.namespace} {one.key}")
                write_line(json.dumps(row) if as_json else text)
            return
        for item in hub.state.peek(namespace, key, limit=limit, timeout=ask_timeout):
            value = jsontext.encode(item.value)
            if as_json:
                head = json.dumps({"id": item.id, "pushed_us": item.pushed_us})
                write_line(f'{head[:-1]}, "value": {value}}}')
            else:
                write_line(printable(f"{item.id:>7} {moment(item.pushed_us)} {_short(value)}"))


def _condition(text: str) -> tuple[str, str, Any]:
    """``name=value``, ``name in [...]``, ``name exists``."""
    name, _, rest = text.partition(" ")
    op, _, operand = rest.strip().partition(" ")
    if op == "exists":
        return name, op, _value(operand or "true")
    if op in ("in", "like") and operand:
        return name, op, operand if op == "like" else _value(operand)
    places = [(text.index(sign), -len(sign), sign) for sign in _SIGNS if sign in text]
    if not places:
        raise InvalidInputError(
            f"--where {text!r}: expected name=value, != < <= > >=, or in, like, exists"
        )
    at, _, sign = min(places)
    return text[:at].strip(), sign, _value(text[at + len(sign) :].strip())


def _value(text: str) -> object:
    """JSON where it is, a text where it is not."""
    try:
        return jsontext.decode(text)
    except InvalidInputError:
        return text


def _print_counts(found: int | Iterable[tuple[Any, int]], as_json: bool) -> None:
    if isinstance(found, int):
        write_line(json.dumps({"count": found}) if as_json else str(found))
        return
    for value, count in found:
        text = jsontext.encode(value)
        line = f'{{"value": {text}, "count": {count}}}' if as_json else f"{count:>7} {text}"
        write_line(line if as_json else printable(line))


def _as_json(entity: Entity) -> str:
    fields: dict[str, object] = {
        "id": entity.id,
        "type": entity.type,
        "version": entity.version,
        "created_us": entity.created_us,
        "updated_us": entity.updated_us,
    }
    parts = {"properties": jsontext.encode(entity.properties)}
    for name in ("outgoing", "incoming"):
        edges = getattr(entity, name)
        if edges is not None:
            parts[name] = f"[{', '.join(map(_edge_json, edges))}]"
    # The values go in as the texts that are stored, so that nothing of them changes on the way.
    tail = ", ".join(f'"{name}": {text}' for name, text in parts.items())
    return f"{json.dumps(fields, ensure_ascii=False)[:-1]}, {tail}}}"


def _edge_json(one: Relationship) -> str:
    fields = {"from_id": one.from_id, "relation_type": one.relation_type, "to_id": one.to_id}
    head = json.dumps(fields, ensure_ascii=False)
    return f'{head[:-1]}, "metadata": {jsontext.encode(one.metadata)}}}'


def _as_text(entity: Entity) -> str:
    head = f"{entity.id} {entity.type} version {entity.version} {moment(entity.updated_us)}"
    return printable(f"{head} {_short(jsontext.encode(entity.properties))}")


def _edge_text(one: Relationship) -> str:
    told = _short(jsontext.encode(one.metadata)) if one.metadata else ""
    return printable(f"    {one.from_id} -{one.relation_type}-> {one.to_id} {told}".rstrip())


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
