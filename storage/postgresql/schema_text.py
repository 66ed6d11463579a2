"""Table: the words of events, where a daemon has ``[storage] full_text``.

A row for each event: its words with their places in its text.  The index is over the words of all
daemons.  Rows of events that are deleted go with them, whether the daemon uses them or not.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TABLES"]

# New rows wait in a list, which whoever fills it merges: at the default of 4 MiB a commit of 100
# events took 450 ms then, at 256 KiB 100 and all of them less; without a list all take four times
# as long (kB; a busy machine of two cores).
TABLES: Final = """
CREATE TABLE events_text (
    daemon      text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    words       tsvector NOT NULL,
    PRIMARY KEY (daemon, seq)
);
CREATE INDEX events_by_word ON events_text USING gin (words)
    WITH (gin_pending_list_limit = 256);

CREATE FUNCTION forget_words_of_deleted_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM events_text AS t USING gone AS g WHERE t.daemon = g.daemon AND t.seq = g.seq;
    RETURN NULL;
END $$;
CREATE TRIGGER events_text_ends_with_its_event AFTER DELETE ON events
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION forget_words_of_deleted_events();
"""
