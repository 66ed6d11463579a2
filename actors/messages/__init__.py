"""The vocabulary: one module per actor, all that actors know of each other."""
