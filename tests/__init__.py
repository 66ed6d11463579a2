"""Tests: promises, one a name."""
