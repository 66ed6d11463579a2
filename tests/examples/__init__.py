"""Tests of the examples: they run as they stand."""
