"""Pages that anybody can read: axe-core finds no violation on a telephone and on a desk, by day and by night."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.predict.page import as_jpeg, embedded, render_page
from benchmark.report.render import build_report
from benchmark.store.results import Results
from tests.browser.test_docs import SITE
from tests.browser.test_page import CHROMIUM, browser, page_file
from tests.cli.test_demo import demo
from tests.report.conftest import TEMPLATES, make_results

__all__ = ["browser", "page_file"]  # fixtures
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: nox -s browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: apt-get install chromium")
DOCUMENTATION = ("docs/index", "reports/tables")


@pytest.fixture(scope="module")
def report_page(page_file: Path) -> Path:
    return page_file


@pytest.fixture(scope="module")
def verdict_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of complete data, which has verdicts."""
    out = tmp_path_factory.mktemp("verdicts")
    complete = make_results(seeds=(0, 1, 2), origin="complete", profile="paper")
    build_report(Results.concat([complete, make_results(origin="partial")]), out, templates=TEMPLATES)
    return out / "index.html"


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    ended = demo("--out", str(out / "made"), cwd=out)
    assert ended.returncode == 0, ended.stderr
    return out / "made" / "reports" / "index.html"


@pytest.fixture(scope="module")
def predict_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    aus = ("AU1", "AU2", "AU4")
    rows = pd.DataFrame({"source": ["a.jpg", "clip.mp4"] * 40, "frame": [pd.NA, 3] * 40, "face": 1})
    rows[list(aus)] = 0.25
    picture = embedded("a.jpg", as_jpeg(np.zeros((40, 60, 3), np.uint8)), "image/jpeg")
    facts = {"model": "MAL, profile standin", "faces": "one a photograph"}
    file = tmp_path_factory.mktemp("predict") / "index.html"
    text = render_page(facts, "This model learned from drawn faces.", rows, aus, [picture], [picture], 3)
    file.write_text(text, encoding="utf-8")
    return file


def documentation(name: str) -> Path:
    if not (SITE / "index.html").is_file():
        pytest.skip("no site: nox -s docs")
    return SITE / f"{name}.html"


@pytest.fixture(params=["report_page", "verdict_page", "demo_page", "predict_page", *DOCUMENTATION])
def file(request: pytest.FixtureRequest) -> Path:
    name: str = request.param
    return documentation(name) if name in DOCUMENTATION else request.getfixturevalue(name)


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    pages = []

    def go(file: Path, width: int, scheme: str) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        pages.append(page)
        page.goto(file.as_uri())
        return page

    yield go
    for page in pages:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_axe_finds_nothing(opened: Callable[..., Any], file: Path, width: int, scheme: str) -> None:
    page = opened(file, width, scheme)
    for _ in ("as it opens", "with every detail open"):
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")


def test_axe_finds_what_is_wrong(opened: Callable[..., Any], report_page: Path) -> None:
    """The test of the test: grey on grey, and a picture without words."""
    page = opened(report_page, 1280, "light")
    page.evaluate("document.querySelector('.answers p').style.color = '#eee'")
    page.evaluate("document.querySelector('.answers img').removeAttribute('alt')")
    wrong = {violation["id"] for violation in axe.Axe().run(page).response["violations"]}
    assert wrong == {"color-contrast", "image-alt"}
