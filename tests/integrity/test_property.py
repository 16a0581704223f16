"""Any single change to a finished store is said, or changes no table.

The default tests try a sample; `nox -s fuzz` tries five hundred.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from benchmark.core.errors import UserError
from benchmark.store.folder import DONE, JOB
from benchmark.store.results import COLUMNS, Results
from benchmark.trials.collect import read_store
from benchmark.trials.states import source_hashes
from tests.fuzz.test_fuzz import malbench
from tests.integrity.stores import finished_store

SHORT, LONG = 30, 500
PRESENT = source_hashes()
TABLES = ("tables.md", "tables.tex", "audit.md", "index.html")


@dataclass(frozen=True)
class Change:
    """One change to a store: to the bytes of a file, or to a file or folder as a whole.

    Attributes:
        what: Kind of the change.
        target: Which file or folder, as a share of their number.
        place: Where in the file, as a share of its length.
        content: New bytes, a new name, or which other file.
    """

    what: str
    target: float
    place: float
    content: bytes


BYTES = ("flip", "overwrite", "insert", "remove", "cut", "empty", "append")
WHOLE = ("rename", "delete", "copy over", "swap", "folder in its place", "FIFO in its place", "dead link in its place")
FOLDERS = ("rename folder", "delete folder", "copy folder", "move folder up", "new file")
CHANGES = st.builds(
    Change,
    st.sampled_from((*BYTES, *BYTES, *WHOLE, *FOLDERS)),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.binary(min_size=1, max_size=40), st.sampled_from([b"0", b"\n", b"1.5", b"null", b"A" * 16])),
)


def name_of(content: bytes, old: str) -> str:
    """Another name that a folder can have."""
    text = "".join(chr(97 + byte % 26) for byte in content)
    return text + Path(old).suffix if content[0] % 2 else old.replace("0", text[:2], 1) + ("" if "0" in old else text)


def apply(change: Change, runs: Path) -> str:
    """Make the change, and say in words what it was."""
    files = sorted(path for path in runs.rglob("*") if path.is_file() and path.name not in {".lock", JOB})
    folders = sorted(path for path in runs.rglob("*") if path.is_dir())
    file = files[int(change.target * len(files))]
    other = files[int(change.place * len(files))]
    folder = folders[int(change.target * len(folders))]
    content = file.read_bytes()
    at = int(change.place * len(content))
    piece = change.content

    def replaced(make: object) -> None:
        file.unlink()
        make(file)  # type: ignore[operator]

    def swap() -> None:
        first, second = file.read_bytes(), other.read_bytes()
        file.write_bytes(second)
        other.write_bytes(first)

    flipped = content[:at] + bytes([content[at] ^ (1 << piece[0] % 8)]) + content[at + 1 :]
    make = {
        "flip": lambda: file.write_bytes(flipped),
        "overwrite": lambda: file.write_bytes(content[:at] + piece + content[at + len(piece) :]),
        "insert": lambda: file.write_bytes(content[:at] + piece + content[at:]),
        "remove": lambda: file.write_bytes(content[:at] + content[at + len(piece) :]),
        "cut": lambda: file.write_bytes(content[:at]),
        "empty": lambda: file.write_bytes(b""),
        "append": lambda: file.write_bytes(content + piece),
        "rename": lambda: file.rename(file.with_name(name_of(piece, file.name))),
        "delete": file.unlink,
        "copy over": lambda: file.write_bytes(other.read_bytes()),
        "swap": swap,
        "folder in its place": lambda: replaced(lambda path: path.mkdir()),
        "FIFO in its place": lambda: replaced(os.mkfifo),
        "dead link in its place": lambda: replaced(lambda path: path.symlink_to("nowhere")),
        "rename folder": lambda: folder.rename(folder.with_name(name_of(piece, folder.name))),
        "delete folder": lambda: shutil.rmtree(folder),
        "copy folder": lambda: shutil.copytree(folder, folder.with_name(name_of(piece, folder.name))),
        "move folder up": lambda: folder.rename(folder.parent.parent / f"moved-{folder.name}"),
        "new file": lambda: (folder / name_of(piece, "x0.parquet")).write_bytes(piece),
    }
    make[change.what]()
    named = folder if change.what in FOLDERS else file
    return f"{change.what}: {named.relative_to(runs)}, at {at} of {len(content)}, {piece!r}, {other.relative_to(runs)}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished store of three trials, its report, and what `status` says of it."""
    home = tmp_path_factory.mktemp("home")
    finished_store(home / "runs")
    assert malbench("report", "--runs", home / "runs", "--out", home / "out", "--cache", home / "cache")[0] == 0
    (home / "status").write_text(malbench("status", "--runs", home / "runs")[1])
    return home


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def same(one: Results, other: Results) -> bool:
    """Whether two results give the same report, which is a pure function of them."""
    return all(getattr(one, name).equals(getattr(other, name)) for name in COLUMNS)


def check(home: Path, scratch: Path, change: Change) -> str:
    """Change a copy of the store, and return what status and report made of it.

    Raises:
        AssertionError: They were silent, and the report is another; or one ended in a traceback.
    """
    for left in scratch.iterdir():  # also what a change moved out of the store
        shutil.rmtree(left)
    runs = shutil.copytree(home / "runs", scratch / "runs")
    undisturbed = read_store(home / "runs", PRESENT)
    try:
        words = apply(change, runs)
    except OSError:  # for instance, a name that is taken
        return "no change"
    status, said, error = malbench("status", "--runs", runs)
    before = (home / "status").read_text()
    status_silent = (status, error, said) == (0, "", before)
    assert "Traceback" not in said + error, words
    assert status in {0, 2}, words
    # A report is drawn only where its results are others. Most errors are read_store's, and one in ten is shown here.
    try:
        silent = same(read_store(runs, PRESENT), undisturbed)
    except UserError:
        silent = False
        if int(1000 * change.place) % 10:
            return "an error"
    if silent:
        return "the same tables" + ("" if status_silent else ", and status says it")
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    status, said, error = malbench("report", "--runs", runs, "--out", out, "--cache", scratch / "cache")
    assert "Traceback" not in said + error, words
    if status == 2:
        assert error.startswith("error: "), words
        assert not out.exists() or not any(out.iterdir()), words
        return "an error"
    assert status == 0, words
    if all((out / name).read_bytes() == (home / "out" / name).read_bytes() for name in TABLES):
        return "the same tables"
    # Other tables: the report itself says what is missing or not proved, or status does.
    text = (out / "tables.md").read_text()
    undisturbed_text = (home / "out" / "tables.md").read_text()
    told = "left out, because not done" in said or text.count("unsealed") > undisturbed_text.count("unsealed")
    gone = change.what in {"delete folder", "rename folder", "move folder up"}
    stale = "| yes |" in text
    assert told or stale or (gone and not status_silent), f"{words}\n{said}"
    return "said"


def property_of(examples: int) -> object:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(change=CHANGES)
    def test(store: Path, scratch: Path, change: Change) -> None:
        event(check(store, scratch, change))

    return test


test_a_single_change = property_of(SHORT)
test_many_single_changes = pytest.mark.long(property_of(LONG))


def test_a_store_as_it_was_is_silent(store: Path, tmp_path: Path) -> None:
    """The comparison would else hold whatever happens."""
    runs = shutil.copytree(store / "runs", tmp_path / "runs")
    assert malbench("status", "--runs", runs)[1] == (store / "status").read_text()
    assert same(read_store(runs, PRESENT), read_store(store / "runs", PRESENT))
    (next(runs.glob("*/stl/*")) / DONE).unlink()
    assert not same(read_store(runs, PRESENT), read_store(store / "runs", PRESENT))
