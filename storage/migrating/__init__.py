"""Live migration: the data of a daemon moves from one database to another while both are used."""
