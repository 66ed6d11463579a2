"""A reading as prometheus-client collects it: the families of the catalog, and one histogram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from holdfast.actors.handling import bound
from holdfast.metrics.catalog import ACTOR, FAMILIES
from holdfast.metrics.reading import Reading, walk

__all__ = ["HANDLING", "Families", "buckets"]

# Every second power of two, 16 us to 67 s: 13 numbers for each actor, not 64.
SHOWN: Final = range(4, 27, 2)
HANDLING: Final = "actor_handling_seconds"
HANDLING_TEXT: Final = "How long its handlers take; a batch counts as one."


class Families:
    """A reading as prometheus-client collects it."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        """Every family, those without a sample too."""
        for family in FAMILIES:
            make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = make(f"holdfast_{family.name}", family.text, labels=family.labels)
            for labels, value in family.read(self._reading):
                metric.add_metric(labels, value)
            yield metric
        histogram = HistogramMetricFamily(f"holdfast_{HANDLING}", HANDLING_TEXT, labels=ACTOR)
        for child in walk(self._reading.tree):
            histogram.add_metric(
                [child.id], buckets(child.handling), sum_value=child.handling_seconds
            )
        yield histogram


def buckets(counts: list[int]) -> list[tuple[str, float]]:
    """Of each bound, in seconds, how many took less."""
    found: list[tuple[str, float]] = [
        (repr(bound(bucket)), float(sum(counts[: bucket + 1]))) for bucket in SHOWN
    ]
    return [*found, ("+Inf", float(sum(counts)))]
