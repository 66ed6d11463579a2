"""Figures of the whole tree for Prometheus, and whether it is well: ``[metrics]`` in a config."""
