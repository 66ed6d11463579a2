"""Pages of the site that are made of what stands elsewhere, and links that leave ``docs/``.

A hook of mkdocs; nothing else imports it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs loads a hook by its path
from configuration import configuration
from python_reference import python_reference

ROOT: Final = Path(__file__).resolve().parents[2]
# By page: the file that it is.
WHOLE: Final = {"CHANGELOG.md": "CHANGELOG.md", "FIGURES.md": "benchmarks/NOTES.md"}
# A link to a file of the repository that is no page is its name.
OUTSIDE: Final = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!CHANGELOG\.md)[^)]*\)")
TO_CHANGES: Final = re.compile(r"\]\(\.\./CHANGELOG\.md")
MADE: Final = {"CONFIGURATION.md": configuration, "PYTHON.md": python_reference}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    pages = {name: (ROOT / path).read_text(encoding="utf-8") for name, path in WHOLE.items()}
    pages |= {name: make() for name, make in MADE.items()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """With links that the site has."""
    return OUTSIDE.sub(r"\1", TO_CHANGES.sub("](CHANGELOG.md", markdown))
