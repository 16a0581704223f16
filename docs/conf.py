"""Configuration of the documentation site: `nox -s docs`.

The source folder of Sphinx is the root of the checkout, not this folder. So a link such as `../reports/tables.md` is
the same file on a code host and a page of the site, and Sphinx checks both.
"""

from __future__ import annotations

from importlib.metadata import version as installed_version

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
nb_execution_timeout = 300  # seconds a cell, on a machine that does other work, too
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
