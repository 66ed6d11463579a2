"""What actors promise each other."""
