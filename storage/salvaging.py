"""The rows that can still be read of a damaged database, by table.

Pages are found twice: from the root of each table down, and from each page up by the pointer map,
so that what hangs below a damaged page is found all the same.  A page of which the two say
different things is left out, and so is everything that was freed: a row that was deleted does not
come back.  What a row ought to look like, its table says when it is put in (storage/repairing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import msgspec

from holdfast.storage.database_file import HEAD, PAGE_SIZES, read_head
from holdfast.storage.pages import FREE, ROOT, Page, Pages, decode_record
from holdfast.storage.sqlite_schema import VERSION, template
from holdfast.storage.wal_file import WalPages

__all__ = ["Salvage", "Table", "opened_pages"]


def opened_pages(path: str, log: WalPages) -> Pages:
    """The file, in pages of the size at which its pointer map knows the most roots."""
    roots = _roots(VERSION)
    found = [Pages(path, log, size) for size in PAGE_SIZES if log.size in (0, size)]
    best = max(found, key=lambda pages: sum(pages.hangs_on(root)[0] == ROOT for root in roots))
    for pages in found:
        if pages is not best:
            pages.close()
    return best


class Table(msgspec.Struct):
    """A table as the migrations make it, and where it stands in the file."""

    name: str
    columns: list[str]
    root: int
    key: str | None  # the column that is the rowid, if one is
    is_index: bool  # WITHOUT ROWID: it is an index of its own
    defaults: list[object] = []  # of its columns, for rows from before they were added
    witness: int = 0  # root of an index that has an entry for each row; 0: there is none
    order: list[int] = []  # of a WITHOUT ROWID table: which column stands where in its entries


class Salvage:
    """What is read, and what is not: ``damaged`` has pages and cells by table."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.version = self._version()
        self.tables = _tables(self.version)
        self.damaged: dict[str, int] = {}
        self._owners: dict[int, int] = {}  # page: root
        self._parsed: dict[int, list[int]] = {}  # root: pages, in order
        self._assign()

    def _version(self) -> int:
        """What the head says, unless the roots that the pointer map knows say otherwise."""
        head = self._pages.read(1)
        found = None if head is None else read_head(head[:HEAD])
        said = found.version if found is not None and 0 < found.version <= VERSION else VERSION
        roots = [set[int](), *(_roots(version) for version in range(1, VERSION + 1))]

        def is_there(version: int) -> bool:
            new = roots[version] - roots[version - 1]
            return any(self._pages.hangs_on(root)[0] == ROOT for root in new)

        if not is_there(1):
            return said  # there is no pointer map to ask
        version = said
        while version > 1 and not is_there(version):
            version -= 1
        while version < VERSION and is_there(version + 1):
            version += 1
        return version

    def rows(self, table: Table) -> Iterator[tuple[object, ...]]:
        """The rows, a value for each column; what is none is counted as damaged."""
        for page in self._pages_of(table.root, table.name):
            self._count(table.name, page.damaged)
            for cell in page.cells:
                try:
                    values = decode_record(cell.record)
                except (ValueError, IndexError):
                    self._count(table.name, 1)
                    continue
                if table.is_index and len(values) == len(table.order):
                    placed: list[object] = [None] * len(values)
                    for place, value in zip(table.order, values, strict=True):
                        placed[place] = value
                    yield tuple(placed)
                elif not table.is_index and 0 < len(values) <= len(table.columns):
                    row = [*values, *table.defaults[len(values) :]]
                    if table.key is not None:
                        row[table.columns.index(table.key)] = cell.rowid
                    yield tuple(row)
                else:
                    self._count(table.name, 1)

    def witnessed(self, table: Table) -> int | None:
        """How many rows an index of the table has; None where none says so, or it is damaged."""
        if not table.witness:
            return None
        count = 0
        for page in self._pages_of(table.witness, ""):
            if page.damaged:
                return None
            count += len(page.cells)
        return None if self.damaged.get("", 0) else count

    def entries(self, table: Table) -> Iterator[list[object]]:
        """What that index has; values that cannot be read are left out."""
        for page in self._pages_of(table.witness, ""):
            for cell in page.cells:
                try:
                    yield cast("list[object]", decode_record(cell.record))
                except (ValueError, IndexError):
                    continue

    def _count(self, name: str, damaged: int) -> None:
        if damaged:
            self.damaged[name] = self.damaged.get(name, 0) + damaged

    def _pages_of(self, root: int, name: str) -> Iterator[Page]:
        """The pages of a tree; of those that cannot be parsed it is counted how many."""
        if not name:
            self.damaged.pop("", None)
        for number in self._parsed.get(root, ()):
            page = self._pages.parse(number)
            if page is None:
                self._count(name, 1)
            else:
                yield page

    def _assign(self) -> None:
        """Which tree each page belongs to."""
        roots = {table.root: table.is_index for table in self.tables}
        roots |= {table.witness: True for table in self.tables if table.witness}
        down = self._walk_down(roots)
        for number in range(2, self._pages.count + 1):
            if self._pages.is_map(number):
                continue
            what, _ = self._pages.hangs_on(number)
            if what in (FREE, 3, 4):
                continue
            up, from_root = self._pages.root_above(number), down.get(number, 0)
            root = up or from_root
            if root in roots and from_root in (0, root):
                self._parsed.setdefault(root, []).append(number)

    def _walk_down(self, roots: dict[int, bool]) -> dict[int, int]:
        """Page to root, from the roots down; a page that two lead to belongs to the first."""
        owners: dict[int, int] = {}
        for root, is_index in roots.items():
            waiting = [root]
            while waiting:
                number = waiting.pop()
                if number in owners or (number in roots and number != root):
                    continue
                kind = self._pages.kind_of(number)
                if kind is None or kind.startswith("index") != is_index:
                    if number == root:
                        owners[number] = root
                    continue
                owners[number] = root
                if kind.endswith("interior") and (page := self._pages.parse(number)) is not None:
                    waiting += page.children
        return owners


def _roots(version: int) -> set[int]:
    """Of all tables and indexes of that version."""
    made = template(version)
    try:
        rows = made.execute("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall()
    finally:
        made.close()
    return {cast(int, root) for (root,) in rows}


def _tables(version: int) -> list[Table]:
    """In the order in which rows are put in: what is referred to comes first.

    Roots are where the migrations put them: a database that gives back its pages one by one keeps
    all its roots together, in the order in which tables and indexes were made.
    """
    made = template(version)
    found = []
    try:
        rows = made.execute(
            "SELECT name, rootpage, sql FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"
        ).fetchall()
        for name, root, sql in cast("list[tuple[str, int, str]]", rows):
            info = made.execute(
                "SELECT cid, name, pk, type, dflt_value FROM pragma_table_info(?)", (name,)
            ).fetchall()
            columns = [cast(str, row[1]) for row in info]
            is_index = "WITHOUT ROWID" in sql
            keys = [row for row in info if row[2]]
            is_key = not is_index and len(keys) == 1 and keys[0][3] == "INTEGER"
            table = Table(name, columns, root, cast(str, keys[0][1]) if is_key else None, is_index)
            table.defaults = [
                None if row[4] is None else made.execute(f"SELECT {row[4]}").get for row in info
            ]
            if is_index:
                first = [
                    cast(int, row[0]) for row in sorted(keys, key=lambda row: cast(int, row[2]))
                ]
                table.order = [*first, *(n for n in range(len(columns)) if n not in first)]
            table.witness = cast(
                int,
                made.execute(
                    "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?"
                    " AND rootpage <> ? AND (sql IS NULL OR sql NOT LIKE '% WHERE %')"
                    " ORDER BY sql IS NULL LIMIT 1",
                    (name, root),
                ).get
                or 0,
            )
            found.append(table)
    finally:
        made.close()
    return found
