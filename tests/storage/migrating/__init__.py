"""Migrations from file to file."""
