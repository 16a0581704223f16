"""Configuration of the documentation site: `nox -s docs`.

The source folder of Sphinx is the root of the checkout, not this folder. So a link such as `../reports/tables.md` is
the same file on a code host and a page of the site, and Sphinx checks both.
"""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

project = "mal-benchmark"
author = "The mal-benchmark authors"
copyright = "the mal-benchmark authors; MIT licence"
release = installed_version("mal-benchmark")

extensions = ["myst_nb"]
root_doc = "docs/index"
include_patterns = ["docs/**", "reports/*.md", "reports/study/*.md", "CHANGELOG.md"]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "runs",
    "scratch",
    "benchmark",
    "methods",
    "templates",
    "tests",
    "**.egg-info",
]

# Every link, anchor and file must exist. `nox -s docs` turns warnings into errors.
nitpicky = True
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the generated reports begin some sections with a heading of the third level

nb_execution_mode = "force"
nb_execution_timeout = 1800  # seconds a cell; 300 were too few on a machine that did other work, too
nb_execution_raise_on_error = True
nb_merge_streams = True  # the lines that a cell prints stand together
nb_output_stderr = "remove"  # warnings of libraries about the machine that builds the site

html_theme = "furo"
html_title = "mal-benchmark"
html_baseurl = ""
html_show_sphinx = False
html_copy_source = False
html_static_path: list[str] = []
html_extra_path = ["site"]  # the start page of the folder, which leads to docs/index.html
html_theme_options = {"navigation_with_keys": True}
templates_path: list[str] = []

# What the theme leaves out. Readers who listen to a page need levels of headings and names of the side columns; readers
# without a mouse need to reach a table that scrolls.
NAMED = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="This page">',
    '<div class="table-wrapper ': '<div tabindex="0" role="group" aria-label="Table" class="table-wrapper ',
    '<aside class="toc-drawer no-toc">': '<aside class="toc-drawer no-toc" aria-label="This page">',
}


def name_landmarks(app: Sphinx, failed: Exception | None) -> None:
    """Write on the pages of the site what the theme leaves out."""
    if failed is not None or app.builder.name != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for found, named in NAMED.items():
            text = text.replace(found, named)
        page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect what the configuration adds to Sphinx."""
    app.connect("build-finished", name_landmarks)
