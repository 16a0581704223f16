"""The report's page in a real browser: `nox -s browser`. Skipped where there is none.

`MALBENCH_SCREENSHOTS=DIR` writes pictures of the committed page there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.core.places import PROJECT
from benchmark.report.render import build_report
from benchmark.store.results import Results
from tests.report.conftest import TEMPLATES, make_results

CHROMIUM = os.environ.get("MALBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nox -s browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: apt-get install chromium")

HOSTILE = "<script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    results = Results.concat([make_results(("stl", "mtl", "mal")), make_results((HOSTILE,))])
    results.counts["subject"] = results.counts["subject"].replace("F001", HOSTILE)
    build_report(results, out, templates=TEMPLATES)
    return out / "index.html"


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.said, opened.asked = [], []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()


def test_no_error_and_no_network(page: Any, page_file: Path) -> None:
    page.wait_for_load_state("networkidle")
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_no_sideways_scroll(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_hostile_names_are_text(page: Any) -> None:
    assert page.title() == "Meta Auxiliary Learning for Facial Action Unit Detection: reproduction report"
    assert page.get_by_text(HOSTILE).count() > 0


def open_details(page: Any) -> None:
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")


def test_tables_sort(page: Any) -> None:
    open_details(page)
    table = page.locator("table", has_text="Ours with 95 % intervals over subjects")
    column = page.evaluate(
        "(t) => [...t.tHead.rows[0].cells].findIndex((c) => c.innerText.trim() === 'AU4')", table.element_handle()
    )

    def values() -> list[float]:
        texts = page.evaluate(
            "([t, c]) => [...t.tBodies[0].rows].map((r) => r.cells[c].innerText)", [table.element_handle(), column]
        )
        return [float(text.split()[0]) for text in texts]

    before = values()
    assert before != sorted(before)
    button = table.locator("thead button").nth(column)
    button.focus()
    page.keyboard.press("Enter")
    assert values() == sorted(before)
    assert table.locator("thead th").nth(column).get_attribute("aria-sort") == "ascending"
    button.click()
    assert values() == sorted(before, reverse=True)


def test_the_keyboard_reaches_all(page: Any) -> None:
    open_details(page)
    stops = "a[href]:not([tabindex]), button, summary, [tabindex='0']"
    wanted = page.evaluate(f'document.querySelectorAll("{stops}").length')
    assert wanted > 100
    page.evaluate("window.met = new Set(); document.addEventListener('focusin', (e) => window.met.add(e.target))")
    for _ in range(wanted):
        page.keyboard.press("Tab")
    assert page.evaluate("window.met.size") == wanted
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")


def test_details_open_with_the_keyboard_and_in_print(page: Any) -> None:
    summary = page.locator("summary", has_text="Cost").first
    assert not page.locator("caption", has_text="Cost").first.is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("caption", has_text="Cost").first.is_visible()
    assert page.evaluate("[...document.querySelectorAll('details')].some((details) => !details.open)")
    page.pdf()
    assert page.evaluate("[...document.querySelectorAll('details')].every((details) => details.open)")


def test_answer_figure_and_verdicts_stand_in_the_first_screen(page: Any) -> None:
    for shown in (".answers p", ".answers img", "#verdicts + *"):
        box = page.locator(shown).first.bounding_box()
        assert box["height"] > 10
        assert box["y"] + box["height"] <= 900


def test_wide_tables_show_that_they_scroll_and_keep_their_names_in_sight(page: Any) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    open_details(page)
    page.wait_for_timeout(100)
    boxes = page.locator(".scroll")
    wide = [box for box in boxes.all() if box.evaluate("(b) => b.scrollWidth - b.clientWidth > 1")]
    assert len(wide) > 5
    for box in boxes.all():
        is_wide = box.evaluate("(b) => b.scrollWidth - b.clientWidth > 1")
        assert (box.evaluate("(b) => getComputedStyle(b).boxShadow") != "none") == is_wide
    first = page.locator(".scroll", has_text="Summary of our runs").first
    name, value = first.locator("tbody tr").first.locator("th, td").all()[:2]
    before = name.bounding_box()["x"], value.bounding_box()["x"]
    first.evaluate("(b) => b.scrollTo(b.scrollWidth, 0)")
    page.wait_for_function("(b) => !b.classList.contains('more')", arg=first.element_handle())
    assert first.evaluate("(b) => getComputedStyle(b).boxShadow") == "none"
    assert name.bounding_box()["x"] == before[0]
    assert value.bounding_box()["x"] < before[1]


def test_a_value_leads_to_its_trial(page: Any) -> None:
    page.locator("caption", has_text="Summary of our runs").locator("xpath=..").locator("tbody td a").first.click()
    target = page.locator(":target")
    assert target.evaluate("(t) => t.closest('table').caption.innerText") == "Trials"
    box, banner = target.bounding_box(), page.locator(".banner").first.bounding_box()
    assert banner["y"] + banner["height"] <= box["y"] <= 900 - box["height"]


def test_dark_and_print(page: Any) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) != light
    page.emulate_media(media="print", color_scheme="light")
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.locator(".banner").first.is_visible()


@pytest.mark.skipif("MALBENCH_SCREENSHOTS" not in os.environ, reason="MALBENCH_SCREENSHOTS names no folder")
def test_screenshots(browser: Any) -> None:
    out = Path(os.environ["MALBENCH_SCREENSHOTS"])
    for name, width, height, scheme in (("page", 1100, 760, "light"), ("page-phone", 375, 760, "dark")):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.goto((PROJECT / "reports" / "index.html").as_uri())
        page.screenshot(path=out / f"{name}.png")
        assert (out / f"{name}.png").stat().st_size > 10_000
        page.close()
