"""The modules within a module by name, walked once and kept for as long as the tree stays as it is.

torch walks the tree anew at each `named_modules()`, through as many nested generators as the tree is deep. What was found
is kept here by module, weakly on both sides: neither the module nor its children live longer for it. Before it is used,
every module's children are compared with what they were, name by name and in order, so one that has been added,
replaced, removed or renamed since is seen, however that was done.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

from torch import nn

Ref = weakref.ref[nn.Module]


@dataclass(frozen=True)
class _Tree:
    """What one walk found.

    Attributes:
        named: every name -> its module; a module that stands in two places has two names.
        children: each module once, with its own children by name; None where a name holds no module.
    """

    named: dict[str, Ref]
    children: list[tuple[Ref, list[tuple[str, Ref | None]]]]

    def holds(self) -> bool:
        """Whether the tree is still the one that was walked."""
        for parent, was in self.children:
            module = parent()
            if module is None or len(module._modules) != len(was):
                return False
            for (name, child), (old_name, old) in zip(module._modules.items(), was, strict=True):
                if name != old_name or (child is None) != (old is None):
                    return False
                if old is not None and old() is not child:
                    return False
        return True


_TREES: weakref.WeakKeyDictionary[nn.Module, _Tree] = weakref.WeakKeyDictionary()


def named_modules(module: nn.Module) -> dict[str, nn.Module]:
    """Every name -> its module, as `module.named_modules(remove_duplicate=False)` gives them, in that order."""
    tree = _TREES.get(module)
    if tree is not None and tree.holds():
        return {name: child for name, ref in tree.named.items() if (child := ref()) is not None}
    named = dict(module.named_modules(remove_duplicate=False))
    children = [
        (
            weakref.ref(one),
            [(name, None if child is None else weakref.ref(child)) for name, child in one._modules.items()],
        )
        for one in dict.fromkeys(named.values())
    ]
    _TREES[module] = _Tree({name: weakref.ref(child) for name, child in named.items()}, children)
    return named


def first_names(module: nn.Module) -> dict[nn.Module, str]:
    """Each module once -> its first name, in the order of `module.named_modules()`."""
    names: dict[nn.Module, str] = {}
    for name, child in named_modules(module).items():
        names.setdefault(child, name)
    return names
