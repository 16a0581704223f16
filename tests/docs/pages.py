"""The pages that readers see, and their sentences, links and commands, as Markdown's own parser reads them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").rglob("*.md")))
"""Pages of the documentation."""
FRONT = ("README.md", "CHANGELOG.md")
"""Pages at the root. Links and commands of all are checked."""
PLAIN = (*PAGES, *FRONT)
"""Pages whose sentences are checked."""

MOST_WORDS = 35
ENDS = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=[\"'(\[*_`]*[A-Z0-9`θψρα])")
"""The end of a sentence: a full stop, and something that can begin the next one."""


@cache
def tokens(page: str) -> list[Token]:
    """The tokens of a page."""
    return MarkdownIt("commonmark").enable("table").parse(text_of(page))


def committed(file: str) -> bytes:
    """A file as it was committed: a report of one's own, published, does not make a page wrong."""
    shown = subprocess.run(["git", "-C", str(ROOT), "show", f"HEAD:{file}"], capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else (ROOT / file).read_bytes()


def committed_text(file: str) -> str:
    """Text of a file as it was committed."""
    return committed(file).decode()


def cells(row: str) -> list[str]:
    """Cells of a row of a table."""
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def rows_below(text: str, heading: str) -> list[list[str]]:
    """Rows of the tables between a heading and the next one, without the lines below the heads."""
    section = text.split(f"# {heading}\n", maxsplit=1)[1].split("\n#", maxsplit=1)[0]
    return [cells(row) for row in section.splitlines() if row.startswith("|") and set(row) - set("|:- ")]


def text_of(page: str) -> str:
    """Text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def flowing(page: str) -> str:
    """Text of a page in one line."""
    return " ".join(text_of(page).split())


def inline(page: str) -> Iterator[Token]:
    """The runs of text of a page: paragraphs, items, headings, cells."""
    return (token for token in tokens(page) if token.type == "inline")


def plain(token: Token) -> str:
    """Text of a run. A piece of code is one word."""
    words = {"text": lambda t: t.content, "code_inline": lambda t: f"`{t.content.replace(' ', '_')}`"}
    pieces = (words.get(child.type, lambda t: " " if t.type == "softbreak" else "")(child) for child in token.children)
    return "".join(pieces)


def sentences(page: str) -> list[str]:
    """All sentences of a page; those of a table's cell or an item end with it."""
    return [sentence for token in inline(page) for sentence in ENDS.split(plain(token)) if sentence.strip()]


def words(sentence: str) -> int:
    """Number of words: pieces between spaces that hold a letter or a digit."""
    return sum(bool(re.search(r"\w", piece)) for piece in sentence.split())


def links(page: str) -> list[str]:
    """Local addresses on a page, of links and images."""
    children = [child for token in inline(page) for child in token.children]
    addresses = [str(child.attrs[name]) for child in children for name in ("href", "src") if name in child.attrs]
    return [address for address in addresses if not re.match(r"[a-z]+:", address)]


def anchors(page: str) -> set[str]:
    """Anchors of the headings of a page, as code hosts and the site make them."""
    listed = tokens(page)
    titles = [listed[at + 1] for at, token in enumerate(listed) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", plain(title).lower()).strip().replace(" ", "-") for title in titles}


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of a language."""
    return [token.content for token in tokens(page) if token.type == "fence" and token.info.strip() == language]


def command_lines(page: str) -> list[str]:
    """Commands of the page's `sh` blocks, joined where a line ends with a backslash."""
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def named_commands(page: str) -> list[str]:
    """`malbench` and `nox` commands that stand in a sentence or a cell."""
    codes = [child.content for token in inline(page) for child in token.children if child.type == "code_inline"]
    return [code for code in codes if re.match(r"(malbench|(\.venv/bin/)?nox) ", code)]
