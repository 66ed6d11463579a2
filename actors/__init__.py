"""The actors: one process, one state concern each."""
