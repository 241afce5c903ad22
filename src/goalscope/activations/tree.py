"""The modules within a module by name, walked once and kept for as long as the tree stays as it is.

torch walks the tree anew at each `named_modules()`, through as many nested generators as the tree is deep. What was found
is kept here by module, weakly on both sides: neither the module nor its children live longer for it. Before it is used,
every module's children are compared with what they were, name by name and in order, so one that has been added,
replaced, removed or renamed since is seen, however that was done.
"""

from __future__ import annotations

import weakref

from torch import nn


class _Tree:
    """What one walk found: every name with its module, and for each module the names and identities of its children."""

    def __init__(self, named: dict[str, nn.Module]):
        refs = {child: weakref.ref(child) for child in named.values()}
        self._named = [(name, refs[child]) for name, child in named.items()]
        self._children = [
            (ref, tuple(child._modules), tuple(map(id, child._modules.values())))
            for child, ref in refs.items()
        ]

    def named(self) -> dict[str, nn.Module] | None:
        """Every name -> its module; None where the tree is no longer the one that was walked."""
        for ref, names, identities in self._children:
            module = ref()
            if module is None:  # and its identity may be another's by now
                return None
            now = module._modules
            if tuple(now) != names or tuple(map(id, now.values())) != identities:
                return None
        return {name: child for name, ref in self._named if (child := ref()) is not None}


_TREES: weakref.WeakKeyDictionary[nn.Module, _Tree] = weakref.WeakKeyDictionary()


def named_modules(module: nn.Module) -> dict[str, nn.Module]:
    """Every name -> its module, as `module.named_modules(remove_duplicate=False)` gives them, in that order."""
    tree = _TREES.get(module)
    named = None if tree is None else tree.named()
    if named is None:
        named = dict(module.named_modules(remove_duplicate=False))
        _TREES[module] = _Tree(named)
    return named


def first_names(module: nn.Module) -> dict[nn.Module, str]:
    """Each module once -> its first name, in the order of `module.named_modules()`."""
    names: dict[nn.Module, str] = {}
    for name, child in named_modules(module).items():
        names.setdefault(child, name)
    return names
