"""The page and the LaTeX: hostile text shows as text, tables parse, nothing is fetched."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmark.report.cells import Cell, table
from benchmark.report.html import html_table
from benchmark.report.latex import escape, latex_table
from benchmark.report.render import build_report
from benchmark.store.results import Results
from tests.report.conftest import TEMPLATES, make_results

HOSTILE = "<img src=x onerror=alert(1)> & \"q\" 'a' \\input{/etc/passwd} $x$ #{%}_^~"


class Reader(HTMLParser):
    """Tags that were opened, and the text of all cells."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page")
    results = Results.concat([make_results(), make_results((HOSTILE,))])
    build_report(results, out, templates=TEMPLATES)
    return (out / "index.html").read_text(encoding="utf-8")


def test_a_hostile_name_is_text(page: str) -> None:
    reader = read(page)
    assert HOSTILE in " ".join(reader.text.split())
    assert reader.tags.count("img") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_the_page_needs_no_network(page: str) -> None:
    links = [value for name, value in read(page).attributes if name in {"src", "href"} and value]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "default-src 'none'" in page


def test_every_table_has_a_caption_and_headers_of_one_length(page: str) -> None:
    tables = re.findall(r"<table.*?</table>", page, flags=re.DOTALL)
    assert len(tables) > 10
    for text in tables:
        assert "<caption>" in text
        head, body = text.split("</thead>")
        width = head.count("<th scope")
        assert all(row.count("<t") - 1 == width for row in re.findall(r"<tr>.*?</tr>", body))


def test_the_stand_in_is_named_in_every_section_and_table_of_ours(page: str) -> None:
    assert page.index("Stand-in data.") < page.index("<header>")
    rows = re.findall(r'<tr><th scope="row">([^<]*\(ours[^<]*)</th>', page)
    assert rows
    assert all("stand-in" in row for row in rows)


def test_hover_tells_interval_seeds_and_trials(page: str) -> None:
    found = re.search(r'<td title="([^"]*)"', page)
    assert found is not None
    assert re.fullmatch(r"\d+\.\d \[\d+\.\d, \d+\.\d\] over subjects; seeds 0; trials .+", found[1])


def test_html_by_hand() -> None:
    made = html_table(table(["a<", "b"], [[Cell("x&", "bold"), Cell("1", hover='say "1"')]], words=True), "cap>")
    assert made == (
        '<div class="scroll text" role="region" tabindex="0" aria-label="cap&gt;"><table class="sortable">'
        '<caption>cap&gt;</caption><thead><tr><th scope="col"><button type="button">a&lt;</button></th>'
        '<th scope="col"><button type="button">b</button></th></tr></thead><tbody>\n'
        '<tr><th scope="row"><strong>x&amp;</strong></th><td title="say &#34;1&#34;">1</td></tr>\n'
        "</tbody></table></div>"
    )


def test_latex_by_hand() -> None:
    made = latex_table(table(["a_b", "c"], [[Cell("50 %"), Cell("−1", "underline")]]))
    assert made.splitlines()[1:] == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a\_b & c \\",
        r"\midrule",
        r"50 \% & \underline{$-$1} \\",
        r"\bottomrule",
        r"\end{tabular}}",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\\input{x}", r"\textbackslash{}input\{x\}"), ("a\nb", "a b"), ("é漢", "e?"), ("95 % & $", r"95 \% \& \$")],
)
def test_latex_escapes(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_latex_of_a_report(tmp_path: Path) -> None:
    build_report(Results.concat([make_results(), make_results((HOSTILE,))]), tmp_path, templates=TEMPLATES)
    text = (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert text.isascii() or not re.search(r"[^\x00-\x7f]", text)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    assert r"\input" not in text
