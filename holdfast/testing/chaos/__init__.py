"""Chaos: clients work with a real daemon while a schedule drawn from a seed breaks it.

``python -m holdfast.testing.chaos --seed N --minutes M``; docs/TESTING.md, "Chaos".
"""
