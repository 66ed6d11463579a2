"""Supervision: processes, their starts, deaths and restarts."""
