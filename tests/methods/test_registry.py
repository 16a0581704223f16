"""The registry finds every method file, and fails loudly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.core.errors import UserError, did_you_mean
from methods import Registry, all_source_files, check_names, discover, names, source_files
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


def test_names_by_kind_are_those_of_the_classes() -> None:
    registry = discover()
    assert names() == tuple(registry)
    assert names("paper") == tuple(name for name, cls in registry.items() if cls.paper_row)
    assert names("control") == tuple(name for name, cls in registry.items() if cls.is_control)
    assert names("beyond") == tuple(n for n, cls in registry.items() if not cls.is_control and not cls.paper_row)
    assert set(names("stage")) == set(registry.names) - set(registry)


def test_unknown_names_have_one_error_with_or_without_imports() -> None:
    check_names(["mal", "majority"])
    told = []
    for ask in (lambda: check_names(["mal", "mall"]), lambda: discover()["mall"]):
        with pytest.raises(UserError, match="unknown method 'mall'") as caught:
            ask()
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "did you mean 'mal'?" in told[0]
    with pytest.raises(UserError, match="unknown method 'identity'"):  # a stage
        check_names(["identity"])


@pytest.mark.parametrize("given", ["mla", "MAL", "MLA", "aml", "mall"])
def test_case_and_swapped_letters_are_small_mistakes(given: str) -> None:
    assert did_you_mean(given, names()).startswith("did you mean 'mal'?")


def test_source_files_of_a_class_and_of_its_name() -> None:
    registry, by_name = discover(), all_source_files()
    assert set(by_name) == set(registry.names)
    for name in registry.names:
        assert source_files(name) == source_files(registry.any(name)) == by_name[name]
    with pytest.raises(UserError, match="unknown method 'losses'"):  # support code
        source_files("losses")


def test_names_and_sources_need_no_torch() -> None:
    code = """
import sys, methods
methods.names(), methods.check_names(["mal"]), methods.source_files("mal"), methods.all_source_files()
print(sorted({"torch", "torchvision", "timm", "numpy"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
