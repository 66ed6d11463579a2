"""``holdfast top``: the tree, its events and sessions, live in a terminal.  Extra ``[top]``."""
