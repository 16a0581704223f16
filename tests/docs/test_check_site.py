"""The check of the built site finds what a reader or a browser would miss."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import ROOT

PAGE = (
    '<h1 id="top">A</h1><a href="b.html#there">b</a><a href="https://example.org/">out</a><img src="data:image/png,x">'
)


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_site", ROOT / "docs" / "check_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "b.html").write_text('<p id="there"><a href="#there">here</a><a href="a.html">a</a></p>')
    return tmp_path


def test_a_whole_site_has_no_fault(check: ModuleType, site: Path) -> None:
    assert list(check.faults(site)) == []
    assert check.main(str(site)) == 0


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ('<a href="c.html">', "no file for c.html"),
        ('<a href="b.html#nowhere">', "no anchor for b.html#nowhere"),
        ('<a href="#nowhere">', "no anchor for #nowhere"),
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loads //example.org/x.css"),
    ],
)
def test_a_fault_is_named(check: ModuleType, site: Path, more: str, fault: str) -> None:
    (site / "a.html").write_text(PAGE + more)
    assert list(check.faults(site)) == [f"a.html: {fault}"]
    assert check.main(str(site)) == 1


def test_a_style_from_another_host_is_a_fault(check: ModuleType, site: Path) -> None:
    (site / "x.css").write_text("@font-face { src: url('https://example.org/font.woff2') }")
    assert list(check.faults(site)) == ["x.css: loads a file from another host"]


def test_an_empty_folder_is_a_fault(check: ModuleType, tmp_path: Path) -> None:
    assert check.main(str(tmp_path)) == 1
