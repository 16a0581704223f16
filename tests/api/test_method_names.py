"""Names of methods that are wrong, and files in methods/ that are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.api import request
from benchmark.api.request import check_methods
from benchmark.core.errors import UserError
from methods import discover, names


def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quarter.py").write_text("import nosuch\n")
    (tmp_path / "helper.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(request, "FOLDER", tmp_path)
    monkeypatch.setattr(request, "discover", lambda: discover("quarter_methods", tmp_path))
    with pytest.raises(UserError, match="a method file cannot be imported"):
        check_methods(["quarter"], names())
    monkeypatch.setattr(request, "discover", lambda: None)
    with pytest.raises(UserError, match="unknown method 'helper'") as caught:
        check_methods(["helper"], names())
    assert f"{tmp_path / 'helper.py'}: a stage that methods start from, or support code" in str(caught.value)


def test_a_misspelt_name_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "discover", lambda: pytest.fail("imported"))
    for name in ("mla", "../mal", "", "mal.py"):
        with pytest.raises(UserError, match="unknown method"):
            check_methods([name], names())
    check_methods(["mal"], names())
