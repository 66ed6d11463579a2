"""Storage: records, ports and backends; knows nothing of actors."""
