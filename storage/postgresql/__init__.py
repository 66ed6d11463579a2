"""The PostgreSQL database: several daemons in one, each with its one writer; needs psycopg."""
