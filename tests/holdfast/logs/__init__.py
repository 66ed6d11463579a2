"""Log records as events."""
