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
from benchmark.report.trial_list import LISTED
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
    assert reader.tags.count("img") == 2  # the answer and the training curves
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
    rows = re.findall(r'<tr><th scope="row"><a [^>]*>([^<]*\(ours[^<]*)</a></th>', page)
    assert rows
    assert all("stand-in" in row for row in rows)


def test_hover_tells_interval_seeds_and_trials(page: str) -> None:
    found = re.search(r'<td title="([^"]*)"', page)
    assert found is not None
    assert re.fullmatch(r"\d+\.\d \[\d+\.\d, \d+\.\d\] over subjects; seeds 0; trials .+", found[1])


def test_a_row_of_ours_leads_to_its_trials(page: str) -> None:
    listed = page.split('id="provenance"')[1]
    anchors = re.findall(r'<tr><th scope="row" id="([^"]*)">([^<]*)</th><td>([^<]*)</td>', listed)
    assert len(anchors) == len({anchor for anchor, *_ in anchors}) == 4 * 3
    rows = re.findall(r'<tr><th scope="row"><a href="#([^"]*)">(\w+) \(ours[^<]*</a></th>(.*?)</tr>', page)
    assert {name for _, name, _ in rows} == {"STL", "MTL", "MAL"}
    for link, name, values in rows:
        method = next(method for anchor, _, method in anchors if anchor == link)
        assert method == name.lower()
        leads = re.findall(r'<td[^>]*><a href="#([^"]*)" tabindex="-1">', values)
        assert leads == [link] * values.count("<td")
    assert {link for link, *_ in rows} <= {anchor for anchor, *_ in anchors}


def test_the_first_trial_of_each_row_is_listed_however_many_there_are(tmp_path: Path) -> None:
    results = make_results(("stl", "mtl"), parts=("part1",), seeds=tuple(range(200)))
    build_report(results, tmp_path, templates=TEMPLATES)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    anchors = set(re.findall(r'<tr><th scope="row" id="([^"]*)">', page))
    assert len(anchors) == LISTED
    assert set(re.findall(r'href="#(trial-[^"]*)"', page)) <= anchors
    assert "and 100 more in results.parquet" in page


def test_detail_comes_on_demand(page: str) -> None:
    answer, verdicts, guide = (page.index(text) for text in ('class="answers"', 'id="verdicts"', "How to read"))
    assert page.index("<h1>") < answer < verdicts < page.index("<nav") < guide
    closed = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", page, flags=re.DOTALL)
    named = dict(closed)
    assert list(named) == ["How to read the tables", "Each AU", "Cost", "Figure 3: training curves"]
    for caption in ("Differences per AU", "95 % intervals over subjects</caption>", "as printed"):
        assert caption in named["Each AU"]
    assert "<caption>Cost</caption>" in named["Cost"]
    assert "<img" in named["Figure 3: training curves"]
    for caption in ("Summary of our runs", "Differences in average F1"):
        assert not [text for _, text in closed if f"<caption>{caption}" in text]


def test_html_by_hand() -> None:
    row = [Cell("x&", "bold", anchor="here"), Cell("1", hover='say "1"'), Cell("2", link="there")]
    made = html_table(table(["a<", "b", "c"], [row], words=True), "cap>")
    assert made == (
        '<div class="scroll text" role="group" tabindex="0" aria-label="cap&gt;"><table class="sortable">'
        '<caption>cap&gt;</caption><thead><tr><th scope="col"><button type="button">a&lt;</button></th>'
        '<th scope="col"><button type="button">b</button></th><th scope="col"><button type="button">c</button></th>'
        "</tr></thead><tbody>\n"
        '<tr><th scope="row" id="here"><strong>x&amp;</strong></th><td title="say &#34;1&#34;">1</td>'
        '<td><a href="#there" tabindex="-1">2</a></td></tr>\n'
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
    assert r"\includegraphics{\detokenize{figures/answer-bp4d.pdf}}" in text
    assert r"\input" not in text
