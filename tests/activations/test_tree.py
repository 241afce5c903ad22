"""The modules by name, kept between calls: the same as torch's own walk, whatever happens to the tree in between."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn

from goalscope.activations import capture, sites
from goalscope.activations.tree import first_names, named_modules


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), nn.Linear(4, 2)).eval()


def add_one(module: nn.Module) -> None:
    module[1].append(nn.Tanh())  # type: ignore[index, operator]


def replace_one(module: nn.Module) -> None:
    module[1][1] = nn.Linear(4, 4)  # type: ignore[index, operator]


def remove_one(module: nn.Module) -> None:
    del module[1][0]  # type: ignore[attr-defined]


def empty_one(module: nn.Module) -> None:
    module[1]._modules["0"] = None  # type: ignore[index]


def rename_one(module: nn.Module) -> None:
    module._modules["last"] = module._modules.pop("2")


def swap_two(module: nn.Module) -> None:
    children = module._modules
    children["0"], children["2"] = children["2"], children["0"]


def fill_anew(module: nn.Module) -> None:
    module._modules = {"only": nn.Linear(3, 2)}


CHANGES = [add_one, replace_one, remove_one, empty_one, rename_one, swap_two, fill_anew]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_tree_is_seen(change: Callable[[nn.Module], None]):
    module = network()
    named_modules(module)
    change(module)
    expected = dict(module.named_modules(remove_duplicate=False))
    for _ in range(2):
        assert list(named_modules(module).items()) == list(expected.items())


def test_a_new_child_at_the_address_of_an_old_one_is_seen():
    module, reused = nn.Sequential(nn.Identity()), 0
    for _ in range(100):
        was = id(named_modules(module)["0"])
        module._modules.pop("0")  # the old one goes, and its memory is free
        module._modules["0"] = nn.Identity()
        reused += id(module[0]) == was
        assert named_modules(module)["0"] is module[0]
    if not reused:
        pytest.skip("no address was given twice")


def test_capture_reads_the_submodule_that_stands_there_now():
    module, x = network(), torch.randn(5, 3)
    capture(module, x, ["0"])
    module[0] = nn.Linear(3, 4)  # type: ignore[index, operator]
    torch.testing.assert_close(capture(module, x, ["0"])["0"], module[0](x))  # type: ignore[index, operator]
    module[0] = nn.Identity()  # type: ignore[index, operator]
    module[1] = nn.Identity()  # type: ignore[index, operator]
    module[2] = nn.Linear(3, 2)  # type: ignore[index, operator]
    assert list(sites(module, x)) == ["0", "1", "2", ""]
    with pytest.raises(ValueError, match=r"no site '1.0'"):
        capture(module, x, ["1.0"])


def test_dropout_that_is_added_after_the_first_capture_is_warned_of():
    module, x = network(), torch.randn(5, 3)
    capture(module, x, ["0"])
    module.append(nn.Dropout(0.5))  # type: ignore[operator]
    with pytest.warns(UserWarning, match="training mode"):
        capture(module, x, ["0"])


def test_a_module_with_two_names_has_both_and_counts_once():
    module = nn.Module()
    module.one = module.two = nn.Sequential(nn.ReLU())
    for _ in range(2):
        assert list(named_modules(module)) == ["", "one", "one.0", "two", "two.0"]
        assert list(first_names(module).items()) == [(child, name) for name, child in module.named_modules()]


def test_the_tree_is_walked_once_for_many_captures(monkeypatch: pytest.MonkeyPatch):
    module, x = network(), torch.randn(5, 3)
    walks = 0
    walk = nn.Module.named_modules

    def counted(self: nn.Module, *args: object, **kwargs: object):
        nonlocal walks
        walks += self is module
        return walk(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.Module, "named_modules", counted)
    for _ in range(3):
        capture(module, x, ["0", "1.1", "2"])
    assert walks == 1


def test_neither_the_module_nor_a_child_lives_longer_for_it():
    module = network()
    named_modules(module)
    child, whole = weakref.ref(module[0]), weakref.ref(module)  # type: ignore[index, operator]
    module[0] = nn.Identity()  # type: ignore[index, operator]
    gc.collect()
    assert child() is None
    named_modules(module)
    del module
    gc.collect()
    assert whole() is None
