"""Tests of the front: the package, its command line, its files."""
