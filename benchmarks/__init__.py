"""Figures, each beside its floor, both measured in the same interleaved run."""
