"""An event as OTLP has it: a log record, and a span that ends with it.  Nothing is kept here."""

from __future__ import annotations

from typing import Final

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from holdfast import __version__
from holdfast.actors.readable_events import Event
from holdfast.otel.traces import span_id
from holdfast.severities import severity_of
from holdfast.storage import jsontext

__all__ = [
    "LOST",
    "LOST_SOURCE",
    "is_of_a_loss",
    "log_record",
    "logs_request",
    "span_of",
    "spans_request",
]

LOST: Final = "otel:lost"  # the type of the events that say what was not exported
LOST_SOURCE: Final = "agent/otel"
_SAMPLED: Final = 1
_LATEST: Final = 2**64 - 1  # nanoseconds
_SEVERITIES: Final = {
    "info": SeverityNumber.SEVERITY_NUMBER_INFO,
    "warning": SeverityNumber.SEVERITY_NUMBER_WARN,
    "error": SeverityNumber.SEVERITY_NUMBER_ERROR,
}
_TEXTS: Final = {"info": "INFO", "warning": "WARN", "error": "ERROR"}
_COLUMNS: Final = ("source", "subject", "correlation", "cause", "root", "key")


def is_of_a_loss(event: Event) -> bool:
    """Whether the exporter told by it what was not exported."""
    return event.type == LOST and event.source == LOST_SOURCE and isinstance(event.data, dict)


def log_record(event: Event, trace: bytes, *, observed_ns: int, data_bytes: int) -> LogRecord:
    """The event, with so many bytes of its data as the body."""
    severity = severity_of(event.type)
    record = LogRecord(
        time_unix_nano=_nanoseconds(event.time_us),
        observed_time_unix_nano=observed_ns,
        severity_number=_SEVERITIES[severity],
        severity_text=_TEXTS[severity],
        event_name=event.type,
        trace_id=trace,
        span_id=span_id(trace, event.id),
        flags=_SAMPLED,
        attributes=_attributes(event),
    )
    record.attributes.append(_attribute("log.record.uid", f"{event.daemon}/{event.seq}"))
    if is_of_a_loss(event):
        for key, value in event.data.items():
            record.attributes.append(_attribute(f"holdfast.lost.{key}", value))
    elif event.payload is not None:  # stored apart: never fetched for this
        record.attributes.append(_attribute("holdfast.data.bytes", event.payload.bytes))
        record.attributes.append(_attribute("holdfast.data.sha256", event.payload.hash))
    elif data_bytes:
        text = jsontext.encode(event.data).encode()
        record.body.string_value = text[:data_bytes].decode(errors="ignore")
        if len(text) > data_bytes:
            record.attributes.append(_attribute("holdfast.data.bytes", len(text)))
    return record


def span_of(event: Event, trace: bytes, caused_us: int | None) -> Span:
    """From its cause, at ``caused_us``, to the event; a moment where nobody knows of a cause."""
    end = _nanoseconds(event.time_us)
    start = end if caused_us is None else min(_nanoseconds(caused_us), end)
    span = Span(
        trace_id=trace,
        span_id=span_id(trace, event.id),
        name=event.type,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        flags=_SAMPLED,
        attributes=_attributes(event),
    )
    if event.cause is not None:
        span.parent_span_id = span_id(trace, event.cause)
        known = caused_us is not None
        span.attributes.append(_attribute("holdfast.cause.known", known))
    if severity_of(event.type) == "error":
        span.status.code = Status.STATUS_CODE_ERROR
    return span


def logs_request(records: list[LogRecord], daemon: str, service: str) -> bytes:
    """What is sent to ``/v1/logs``."""
    request = ExportLogsServiceRequest()
    around = request.resource_logs.add(resource=_resource(daemon, service))
    around.scope_logs.add(scope=_scope(), log_records=records)
    return bytes(request.SerializeToString())


def spans_request(spans: list[Span], daemon: str, service: str) -> bytes:
    """What is sent to ``/v1/traces``."""
    request = ExportTraceServiceRequest()
    around = request.resource_spans.add(resource=_resource(daemon, service))
    around.scope_spans.add(scope=_scope(), spans=spans)
    return bytes(request.SerializeToString())


def _attributes(event: Event) -> list[KeyValue]:
    found = [_attribute("holdfast.seq", event.seq), _attribute("holdfast.depth", event.depth)]
    for name in _COLUMNS:
        if (value := getattr(event, name)) is not None:
            found.append(_attribute(f"holdfast.{name}", value))
    if event.session is not None:
        found.append(_attribute("session.id", event.session))
    return found


def _attribute(name: str, value: object) -> KeyValue:
    made = KeyValue(key=name)
    match value:
        case bool():
            made.value.bool_value = value
        case int() if -(2**63) <= value < 2**63:
            made.value.int_value = value
        case str():
            made.value.string_value = value
        case _:
            made.value.string_value = msgspec.json.encode(value).decode()
    return made


def _resource(daemon: str, service: str) -> Resource:
    return Resource(
        attributes=[
            _attribute("service.name", service),
            _attribute("service.instance.id", daemon),
            _attribute("holdfast.daemon", daemon),
        ]
    )


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name="holdfast", version=__version__)


def _nanoseconds(time_us: int) -> int:
    """OTLP has no time before 1970, and none behind the year 2554."""
    return min(max(0, time_us) * 1000, _LATEST)
