"""Tests of the test kit: real daemons, and real runs of pytest."""
