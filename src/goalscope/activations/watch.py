"""Hooks that act only where and while they are wanted; what `capture`, `editing` and `sites` are made of.

Hooks belong to the `with` block that set them: they are removed when it ends, however it ends, and they act only in
the context that opened it (`contextvars`: the thread, or the asyncio task). So two threads may watch the same module
at once and see nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module

from goalscope.activations.attention import Unfused, has_fused_paths, projections
from goalscope.activations.sites import Site, Visit, find
from goalscope.activations.tree import first_names

_OPEN: ContextVar[tuple[Watch, ...]] = ContextVar("goalscope_open_watches", default=())


class Watch:
    """Hooks on the modules of some sites, which act while the `with` block lasts and in its context only.

    Attributes:
        forwards: number of calls of the whole module so far.
        reached: for each site, how often a visit took place.
        calls: for each watched module, its calls within the last forward.
    """

    def __init__(self, module: nn.Module, sites: Sequence[tuple[Site, nn.Module]], visit: Visit):
        self.module, self.visit = module, visit
        self.forwards = 0
        self.reached = {site: 0 for site, _ in sites}
        self.calls: dict[nn.Module, int] = {}
        self._at: dict[nn.Module, tuple[list[Site], list[Site]]] = {}
        for site, child in sites:
            self._at.setdefault(child, ([], []))[site.side == "out"].append(site)
        self._stack = ExitStack()

    def __enter__(self) -> Watch:
        # Hooks are there before the context is open, and gone after it is closed.
        with ExitStack() as stack:
            stack.callback(self.module.register_forward_pre_hook(self._begin).remove)
            fused = has_fused_paths(self.module)
            projected = projections(self.module) if fused else {}
            for child, (before, _) in self._at.items():
                if child in projected:  # never called as modules; `Unfused` stands in for their hooks
                    continue
                if before:
                    hook = child.register_forward_pre_hook(self.before, with_kwargs=True)
                    stack.callback(hook.remove)
                stack.callback(child.register_forward_hook(self.after, with_kwargs=True).remove)
            if fused:
                stack.enter_context(Unfused(projected, _OPEN.get))
            _OPEN.set((*_OPEN.get(), self))
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def watches(self, module: nn.Module) -> bool:
        """Whether a site is on this module."""
        return module in self._at

    def _close(self) -> None:
        _OPEN.set(tuple(other for other in _OPEN.get() if other is not self))

    def _begin(self, module: nn.Module, *rest: Any) -> None:
        if self in _OPEN.get():
            self.forwards += 1
            self.calls.clear()

    # Hooks take what they are given: one that is being removed by its own thread may be called by another
    # thread at that moment in the form without keyword arguments.
    def before(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> Any:
        """Visits the sites at the module's input."""
        if self not in _OPEN.get() or module not in self._at:
            return None
        given = whole = (args, rest[0] if rest else {})
        for site in self._at[module][0]:
            whole = self._visit(site, whole, self.calls.get(module, 0))
        return None if whole is given else whole

    def after(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> Any:
        """Visits the sites at the module's output, and counts the call."""
        if self not in _OPEN.get() or module not in self._at:
            return None
        given = whole = rest[-1]
        call = self.calls.get(module, 0)
        for site in self._at[module][1]:
            whole = self._visit(site, whole, call)
        self.calls[module] = call + 1
        return None if whole is given else whole

    def _visit(self, site: Site, whole: Any, call: int) -> Any:
        if isinstance(site.call, int) and site.call != call:
            return whole
        self.reached[site] += 1
        new = self.visit(site, whole, call)
        return whole if new is None else new

    def acts_on(self, modules: Iterable[nn.Module]) -> bool:
        """Whether it acts in this context on one of these modules."""
        return self in _OPEN.get() and any(child in self._at for child in modules)

    def refuse_unreached(self) -> None:
        """Raises ValueError where a site was never visited, and says why that may be."""
        missed = [site for site, times in self.reached.items() if not times]
        if not missed:
            return
        names = ", ".join(repr(site.text) for site in missed)
        if not self.forwards and not self.calls:
            why = "no forward of this module ran within the block, in the thread that opened it"
        elif any(isinstance(site.call, int) for site in missed):
            last = {site.text: self.calls.get(find(self.module, site), 0) for site in missed}
            why = f"calls within the last forward: {', '.join(f'{k}: {v}' for k, v in last.items())}"
        else:
            why = "the forward does not call these modules for such an input"
        raise ValueError(f"{type(self.module).__name__}: never reached {names}; {why}")


def watched(module: nn.Module) -> bool:
    """Whether an edit or a capture would act in a forward of this module, here and now."""
    inside = first_names(module)
    return any(watch.acts_on(inside) for watch in _OPEN.get())


def foreign_hooks(module: nn.Module) -> list[tuple[str, Any]]:
    """(name of the module, hook) of the forward hooks that are not of this package."""
    found: list[tuple[str, Any]] = []
    for hooks in (torch_module._global_forward_pre_hooks, torch_module._global_forward_hooks):
        found += [("every module", hook) for hook in hooks.values()]
    for child, name in first_names(module).items():
        found += [
            (name, hook) for hook in (*child._forward_pre_hooks.values(), *child._forward_hooks.values())
        ]
    return [(name, hook) for name, hook in found if not isinstance(getattr(hook, "__self__", None), Watch)]
