"""Events as OpenTelemetry's log records and spans, to a collector: ``[otel]`` in a config."""
