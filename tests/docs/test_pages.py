"""The documentation can be read and followed: short sentences, links that resolve, all pages in the contents."""

from __future__ import annotations

import pytest

from tests.docs.pages import FRONT, MOST_WORDS, PAGES, PLAIN, ROOT, anchors, blocks, links, sentences, words


@pytest.mark.parametrize("page", PLAIN)
def test_no_sentence_is_too_long(page: str) -> None:
    long = [f"{words(sentence)} words: {sentence}" for sentence in sentences(page) if words(sentence) > MOST_WORDS]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("page", [*FRONT, *PAGES])
def test_local_links_resolve(page: str) -> None:
    wrong = []
    for address in links(page):
        path, _, fragment = address.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        if not target.is_file():
            wrong.append(f"no file: {address}")
        elif fragment and fragment not in anchors(target.relative_to(ROOT).as_posix()):
            wrong.append(f"no heading: {address}")
    assert wrong == []


def test_every_page_is_in_the_contents() -> None:
    listed = {
        f"docs/{line.strip()}.md"
        for block in blocks("docs/index.md", "{toctree}")
        for line in block.splitlines()
        if line.strip() and not line.startswith((":", "..", "notebooks/"))
    }
    assert listed | {"docs/index.md"} == set(PAGES)


def test_the_sentences_of_a_page_are_found() -> None:
    """A reader that found nothing would make every page pass."""
    found = sentences("docs/start.md")
    assert "You need no GPU, no data and no licence." in found
    assert words("You need no GPU - and no data.") == 7
    assert all(len(sentences(page)) > 5 for page in PLAIN)
