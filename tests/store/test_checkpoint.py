"""Trees of values and tensors on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from benchmark.core.errors import UserError
from benchmark.store.checkpoint import load_tree, save_tree

leaf = st.one_of(
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.integers(0, 3).map(lambda n: torch.arange(n * 2, dtype=torch.float32).reshape(n, 2)),
)
trees = st.recursive(
    leaf,
    lambda c: st.one_of(st.lists(c, max_size=3), st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), c)),
)


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_trees_round_trip_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    file = tmp_path_factory.mktemp("t") / "x.safetensors"
    save_tree(file, tree)
    assert same(load_tree(file), tree)
    assert [p.name for p in file.parent.iterdir()] == ["x.safetensors"]


def test_a_damaged_checkpoint_is_a_plain_error(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_tree(file, {"a": torch.zeros(100)})
    file.write_bytes(file.read_bytes()[:150])
    with pytest.raises(UserError, match="damaged"):
        load_tree(file)


def test_a_changed_tensor_is_a_plain_error(tmp_path: Path) -> None:
    """safetensors reads it without complaint."""
    file = tmp_path / "x.safetensors"
    save_tree(file, {"a": torch.zeros(100)})
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="damaged") as caught:
        load_tree(file)
    assert caught.value.found == "its content is not what was written"


def test_the_digest_of_a_tree_stays(tmp_path: Path) -> None:
    """Checkpoints of earlier versions must be read."""
    file = tmp_path / "x.safetensors"
    save_tree(file, {"step": 3, "weight": torch.arange(4.0)})
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["digest"] == "80298c110859e1ce9938ab4aa2c9befa"
