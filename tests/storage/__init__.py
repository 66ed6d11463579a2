"""Promises of the storage layer."""
