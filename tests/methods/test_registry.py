"""The registry finds every method file, and fails loudly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.core.errors import UserError
from methods import Registry, discover
from methods.base import Stream

GOOD = '''
from methods.base import Method, Stream, register

@register("{name}", paper_row="X")
class Toy(Method):
    """A toy."""
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Registry]]:
    """Makes a package of the given files and runs the registry on it."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"toys_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()

    def make(**files: str) -> Registry:
        for stem, text in files.items():
            (folder / f"{stem}.py").write_text(text)
        return discover(name, folder)

    yield make
    for module in [m for m in sys.modules if m.startswith(name)]:
        del sys.modules[module]


def test_the_methods_of_the_suite() -> None:
    registry = discover()
    assert {"stl", "mtl", "mal"} <= set(registry)
    assert registry["mal"].streams == {Stream.AU, Stream.FE, Stream.AU_VAL}
    assert registry["stl"].paper_row == "STL"


def test_one_file_is_one_method_and_support_files_are_none(package: Callable[..., Registry]) -> None:
    registry = package(toy=GOOD.format(name="toy"), helpers="VALUE = 1\n")
    assert list(registry) == ["toy"]


def test_an_unknown_name_suggests(package: Callable[..., Registry]) -> None:
    with pytest.raises(UserError, match="unknown method 'toi'") as caught:
        package(toy=GOOD.format(name="toy"))["toi"]
    assert caught.value.remedy is not None
    assert "did you mean 'toy'?" in caught.value.remedy


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"toy": "import nothing_of_that_name\n"}, "cannot be imported"),
        ({"toy": "raise RuntimeError('boom')\n"}, "cannot be imported"),
        ({"toy": GOOD.format(name="other")}, "not the name of its file"),
        ({"a": GOOD.format(name="b"), "b": GOOD.format(name="b")}, "is taken"),
        ({"toy": GOOD.format(name="toy") + GOOD.format(name="toy").replace("Toy", "Two")}, "is taken"),
        ({"toy": "from methods.base import register\n@register('toy')\nclass Toy:\n    pass\n"}, "is no method"),
    ],
)
def test_broken_files_fail_loudly(package: Callable[..., Registry], files: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        package(**files)
    assert caught.value.where is not None
