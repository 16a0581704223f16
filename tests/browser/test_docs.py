"""The documentation in a real browser, as `nox -s docs` has built it. Skipped where there is no site or no browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.core.places import PROJECT
from tests.browser.test_page import CHROMIUM, browser, playwright

__all__ = ["browser"]  # a fixture
SITE = Path(PROJECT) / "build" / "docs"
PAGES = ("docs/index", "docs/commands", "docs/protocol", "docs/notebooks/mal_in_ten_minutes", "reports/tables")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None or playwright is None, reason="no chromium on the path"),
    pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="no site: nox -s docs"),
]


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.said, opened.asked = [], []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    opened.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_error_and_needs_no_network(page: Any, name: str) -> None:
    page.goto((SITE / f"{name}.html").as_uri())
    page.wait_for_load_state("networkidle")
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_does_not_scroll_sideways(page: Any, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((SITE / f"{name}.html").as_uri())
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_the_start_page_leads_to_the_documentation(page: Any) -> None:
    page.goto((SITE / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")
    assert page.locator("h1").first.inner_text().startswith("mal-benchmark")


def test_the_search_finds_a_word_without_a_server(page: Any) -> None:
    page.goto((SITE / "search.html").as_uri() + "?q=glossary")
    page.wait_for_selector("#search-results li a")
    assert "glossary.html" in " ".join(
        link.get_attribute("href") for link in page.locator("#search-results li a").all()
    )
