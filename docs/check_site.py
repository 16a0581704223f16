"""Check a built site: every local link leads to a file and an anchor, and nothing is loaded from another host.

python docs/check_site.py build/docs
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}
"""Attributes whose address a browser loads without a click."""
IN_STYLES = re.compile(r"""url\(\s*['"]?(?:https?:)?//|@import\s+['"](?:https?:)?//""")


class Page(HTMLParser):
    """Names of the anchors of a page, and the addresses on it: (tag, attribute, address)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchors and addresses of an element."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src", "data") and value:
                self.addresses.append((tag, name, value))


def faults(site: Path) -> Iterator[str]:
    """Every broken local link of a site, and everything that it loads from another host, one line each."""
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: no page"
    for file, page in pages.items():
        where = file.relative_to(site)
        for tag, attribute, address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if (tag, attribute) in LOADS and parts.scheme != "data":
                    yield f"{where}: loads {address}"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{where}: no file for {address}"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{where}: no anchor for {address}"
    for style in sorted(site.rglob("*.css")):
        if IN_STYLES.search(style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(site)}: loads a file from another host"


def main(site: str) -> int:
    """Print the faults of a site; 1 if there is one."""
    lines = list(faults(Path(site).resolve()))
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - a script
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
