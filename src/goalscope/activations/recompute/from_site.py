"""Run a forward once up to a site, then recompute only what depends on that site, skips included.

`recompute_from` is for one site; `Recording` keeps one run for many sites, as sweeps want. What is recomputed are the
operations of the forward itself, in their order, on values that the forward itself made, so the output equals, bit for
bit, that of a full forward with the site replaced.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from goalscope.activations.content import precision, settings_of
from goalscope.activations.hooks import editing, warn_of_randomness
from goalscope.activations.inputs import Inputs, as_inputs, explained
from goalscope.activations.recompute.plan import dependent, plan
from goalscope.activations.recompute.trace import Trace, Untraceable, hooked
from goalscope.activations.sites import parse, tensor_at

_WARNED: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_LOCK = threading.Lock()


@dataclass(frozen=True)
class _Made:
    """What a graph was made from, so that it can be used again for other inputs."""

    module: nn.Module
    form: tuple
    """the structure of the inputs, with what in them is no tensor"""
    under: tuple[str, str]
    """settings and precision of the module"""
    trace: Trace | None
    """None where the forward has none"""


class Remainder:
    """A forward that waits at a site; call it with a value for the site to get the module's output.

    Gradients flow from the output to that value (and to the parameters that are read after the site). Parameters
    are read when it is called; what does not depend on the site is as it was when the forward was run. A module whose
    mode or settings have changed since is refused.

    Attributes:
        site: name of the site.
        value: the activation at the site in the run.
        output: what the module returned in the run.
        traced: whether only what depends on the site is recomputed; False where full forwards are run instead.
        operations: number of operations that a call runs; None where full forwards are run.
    """

    def __init__(
        self,
        site: str,
        value: Tensor,
        output: Any,
        run: Callable[[Tensor], Any],
        operations: int | None,
        made: _Made,
    ):
        self.site, self.value, self.output = site, value, output
        self.traced, self.operations = operations is not None, operations
        self._run, self._made = run, made

    def __call__(self, value: Tensor) -> Any:
        """The module's output with `value` at the site.

        Args:
            value: a tensor of the site's shape.

        Raises:
            ValueError: another shape; the message has the site and both shapes. Another mode, setting or precision of
                the module than when it was run.
        """
        if not isinstance(value, Tensor) or value.shape != self.value.shape:
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"site {self.site!r} has shape {list(self.value.shape)}, got {got}")
        return self._run(value)


class Recording:
    """One run of a module with all that is needed to recompute it from some sites.

    Args:
        module: any module; it must have no forward hooks.
        inputs: the arguments of its forward.
        sites: the sites, each the only call of its module or with `@k`.
        everything: keep the values of all operations, not only what the sites need.
        trace: the graph of a forward of this module on inputs of this form; None makes it.

    Attributes:
        trace: the graph.
        plans: site -> what to run for it.
        values: node -> what the run made there.
        output: what the module returned.

    Raises:
        ValueError: an unknown site, one that is not reached, or one that means several calls.
        Untraceable: the forward has no graph, or its graph does not give the numbers of the forward.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: tuple,
        sites: Sequence[str],
        *,
        everything: bool = False,
        trace: Trace | None = None,
    ):
        warn_of_randomness(module)
        self.trace = trace or Trace(module, inputs)
        self.sites = {text: parse(text) for text in sites}
        with torch.no_grad():
            state = torch.get_rng_state()
            copy = pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, inputs)
            self.output = module(*copy)
            after = torch.get_rng_state()
        for _ in range(3):
            torch.set_rng_state(state)
            keep = self.trace.nodes if everything else self._needed()
            try:
                self.values, output, rewritten = self.trace.run(inputs, keep)
            except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
                raise Untraceable(f"its graph does not run: {type(error).__name__}: {error}") from error
            torch.set_rng_state(after)
            if not rewritten:
                break
        if not equal(output, self.output):
            raise Untraceable("its graph gives other numbers than its forward")
        self.plans = {text: plan(self.trace, site, self.values) for text, site in self.sites.items()}
        if not everything:
            needed = set().union(*(plan.kept | {plan.place} for plan in self.plans.values()))
            self.values = {node: value for node, value in self.values.items() if node in needed}

    def value(self, site: str) -> Tensor:
        """The activation at a site in the run."""
        plan = self.plans[site]
        return tensor_at(self.values[plan.place], plan.path)

    def run(self, site: str, value: Tensor) -> Any:
        """The output with `value` at the site."""
        return self.plans[site].run(self.values, value, self.trace.module)

    def _needed(self) -> set[fx.Node]:
        """What the run must keep, before it is known which tensor of a structure a site is."""
        keep: set[fx.Node] = set()
        for site in self.sites.values():
            leaves = self.trace.leaves(site)
            inner = dependent(self.trace.nodes, set(leaves))
            used = {used for node in inner for used in node.all_input_nodes}
            # A structure's other leaves stay what they were.
            keep |= set(leaves) | used - inner
            for leaf in leaves:
                alone = dependent(self.trace.nodes, {leaf})
                keep |= {used for node in alone for used in node.all_input_nodes} - alone
        return keep


def recompute_from(
    module: nn.Module, site: str, inputs: Inputs, *, like: Remainder | None = None
) -> Remainder:
    """Run a module once, and be ready to go on from a site with another value there.

    The forward is traced with torch.fx and its graph run beside the bare forward; where the two outputs are not
    bit-identical, or the module cannot be traced (control flow that depends on data, hooks set by somebody else), a
    warning says so once for each module, and every call is a full forward with the site replaced.

    Args:
        module: any module. In training mode with dropout (which warns), what comes before the site is drawn once, what
            comes after it is drawn at each call.
        site: name of a site (see `goalscope.activations.sites`); with `@k` where the module is called several times.
        inputs: what its forward takes: a tensor, or a tuple of arguments. Values that are not tensors are fixed.
        like: the waiting forward of the same module from other inputs or another site: its graph is used again where it
            fits, which saves the tracing and changes nothing else.

    Returns:
        The waiting forward: `rest(value)` is the module's output with `value` at the site.

    Raises:
        ValueError: an unknown site (with near matches), one that is never reached, or one that means several calls.
    """
    arguments = as_inputs(inputs, module)
    made = _Made(module, _form(arguments), (settings_of(module), precision()), None)
    known = None if like is None or hooked(module) else like._made
    if known is None or (known.module, known.form, known.under) != (module, made.form, made.under):
        known = None
    if known is not None and known.trace is None:
        return _by_full_forwards(module, site, arguments, made)
    try:
        with explained(module, arguments):
            recording = Recording(module, arguments, [site], trace=known and known.trace)
    except Untraceable as error:
        warn_untraceable(module, error)
        return _by_full_forwards(module, site, arguments, made)
    # As the run left it: a module may keep something of its first forward.
    made = replace(made, under=(settings_of(module), precision()), trace=recording.trace)

    def run(value: Tensor) -> Any:
        if (settings_of(module), precision()) != made.under:
            raise ValueError(
                f"{type(module).__name__} has another mode, settings or precision (autocast) than when recompute_from ran "
                "it; call recompute_from again"
            )
        if hooked(module):  # an edit of somebody else, made since: a graph would pass it by
            with editing(module, {site: lambda _: value.clone()}):
                return module(*arguments)
        return recording.run(site, value)

    steps = len(recording.plans[site].steps)
    return Remainder(site, recording.value(site).clone(), recording.output, run, steps, made)


def _form(arguments: tuple) -> tuple:
    """What a graph depends on in the arguments."""
    leaves, structure = pytree.tree_flatten(arguments)
    return structure, tuple(None if isinstance(leaf, Tensor) else (type(leaf), leaf) for leaf in leaves)


def warn_untraceable(module: nn.Module, error: Exception) -> None:
    """Say once for each module that full forwards are run, and why."""
    with _LOCK:
        if module in _WARNED:
            return
        _WARNED.add(module)
    warnings.warn(
        f"{type(module).__name__} is recomputed by full forwards (exact, but slower): {error}",
        RuntimeWarning,
        stacklevel=3,
    )


def _by_full_forwards(module: nn.Module, site: str, arguments: tuple, made: _Made) -> Remainder:
    seen: list[Tensor] = []

    def look(value: Tensor) -> Tensor:
        seen.append(value.clone())
        return value

    with torch.no_grad(), editing(module, {site: look}), explained(module, arguments):
        output = module(*arguments)
    if len(seen) > 1:
        raise ValueError(
            f"site {site!r}: the module is called {len(seen)} times in a forward; say which with @0, @1, ..."
        )

    def run(value: Tensor) -> Any:
        with editing(module, {site: lambda _: value.clone()}):  # what is done in place stays inside
            return module(*arguments)

    return Remainder(site, seen[0], output, run, None, made)


def equal(one: Any, other: Any) -> bool:
    """Whether two outputs are the same structure of the same tensors, bit for bit (NaN equals NaN)."""
    leaves, form = pytree.tree_flatten(one)
    others, other_form = pytree.tree_flatten(other)
    if form != other_form:
        return False
    for leaf, twin in zip(leaves, others, strict=True):
        if isinstance(leaf, Tensor) and isinstance(twin, Tensor):
            if leaf.shape != twin.shape or not torch.allclose(leaf, twin, rtol=0, atol=0, equal_nan=True):
                return False
        elif leaf is not twin and leaf != twin:
            return False
    return True
