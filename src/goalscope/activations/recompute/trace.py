"""A forward as a graph of operations in which every call of every module has its place (torch.fx underneath).

fx forgets a container once it has traced through it. Here each call of a module leaves marks, nodes that do nothing, on
what goes in and what comes out, so a site is a node: the residual add of a block, the input of one of two branches.
Operations in place are found while the graph runs for the first time (a tensor's version goes up) and become operations
on a copy; from then on a node's value never changes, so it can be kept and used again.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate, map_arg
from torch.nn.modules import module as torch_module
from torch.utils import _pytree as pytree

from goalscope.activations.sites import Site, find, locate
from goalscope.activations.tree import first_names, named_modules

_TRACING = threading.Lock()  # fx exchanges nn.Module.__call__ while it traces: one at a time


class Untraceable(Exception):
    """Why a forward, or a site in it, has no graph that can be trusted."""


@dataclass(frozen=True)
class Call:
    """One call of a module: `(args, kwargs)` and what is returned, with nodes in place of tensors."""

    inputs: Any
    outputs: Any


def mark(value: Any) -> Any:
    """Does nothing: names a place in the graph."""
    return value


class _Tracer(fx.Tracer):
    """Marks what goes in and out of modules; a module that cannot be traced becomes one operation."""

    def __init__(self, inputs: tuple):
        super().__init__()
        self.inputs = inputs
        self.calls: dict[nn.Module, list[Call]] = {}
        self.thread = threading.get_ident()
        self._parameters: dict[str, fx.Proxy] = {}

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        # Tensors become placeholders, wherever in a structure; numbers, None and the like stay what they are.
        count = iter(range(10**6))

        def stand_in(leaf: Any) -> Any:
            return (
                self.create_proxy("placeholder", f"input_{next(count)}", (), {})
                if isinstance(leaf, Tensor)
                else leaf
            )

        args = self._marked(pytree.tree_map(stand_in, self.inputs))
        self.calls[self.root] = [Call((_nodes(args), {}), None)]
        return root_fn, [self.root, *args]

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self.thread:
            return attr_val
        self._parameters = parameter_proxy_cache
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def iter(self, obj: fx.Proxy) -> Any:
        node, items = obj.node, cast(Any, obj)
        if node.target in ("chunk", torch.chunk) and len(node.args) > 1 and isinstance(node.args[1], int):
            return iter([items[k] for k in range(node.args[1])])
        return super().iter(obj)

    def call_module(self, m: nn.Module, forward: Any, args: tuple, kwargs: dict) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)  # another thread's forward passed by while the patch was on
        name = self.path_of_module(m)
        args, kwargs = self._marked((args, kwargs))
        place = self.calls.setdefault(m, [])
        place.append(Call(None, None))  # numbered in the order in which calls begin, as hooks count them
        number, before = len(place) - 1, len(self.graph.nodes)
        known = {module: len(calls) for module, calls in self.calls.items()}
        if self.is_leaf_module(m, name):
            out = self.create_proxy("call_module", name, args, kwargs)
        else:
            try:
                out = self._storable(forward(*args, **kwargs))
            except Exception:
                self._forget(before, known)
                out = self.create_proxy("call_module", name, args, kwargs)
        out = self._marked(out)
        place[number] = Call(_nodes((args, kwargs)), _nodes(out))
        return out

    def _marked(self, value: Any) -> Any:
        def marked(leaf: Any) -> Any:
            return (
                self.create_proxy("call_function", mark, (leaf,), {}) if isinstance(leaf, fx.Proxy) else leaf
            )

        return map_aggregate(value, marked)

    def _storable(self, out: Any) -> Any:
        """Dataclasses become one node; what cannot stand in a graph fails here, where it can be undone."""
        if dataclasses.is_dataclass(out) and not isinstance(out, type):
            return fx.Proxy(self.create_arg(out), self)  # type: ignore[arg-type]

        def stored(leaf: Any) -> Any:
            return leaf if isinstance(leaf, fx.Proxy) else self.create_arg(leaf)

        checked: Any = out
        map_aggregate(checked, stored)
        return out

    def _forget(self, before: int, known: dict[nn.Module, int]) -> None:
        """Undo what was traced of a module that then could not be traced to its end."""
        for node in reversed(list(self.graph.nodes)[before:]):
            self.graph.erase_node(node)
        left = set(self.graph.nodes)
        for name in [name for name, proxy in self._parameters.items() if proxy.node not in left]:
            del self._parameters[name]
        for module in list(self.calls):
            del self.calls[module][known.get(module, 0) :]


class Trace:
    """The graph of one forward.

    Args:
        module: any module; parameters are read when the graph runs, so they stay live.
        inputs: what the forward is called with. What is not a tensor is built into the graph.

    Raises:
        Untraceable: control flow that depends on data, hooks on the module, and the like.
    """

    def __init__(self, module: nn.Module, inputs: tuple):
        if hooked(module):
            raise Untraceable("it has forward hooks, which a graph would pass by")
        self.module = module
        with _TRACING:
            tracer = _Tracer(inputs)
            try:
                self.graph = tracer.trace(module)
            except Exception as error:
                text = str(error).strip().split("\n")[0]
                raise Untraceable(f"{type(error).__name__}: {text}") from error
        self.nodes = list(self.graph.nodes)
        (top,) = tracer.calls[module]
        self._calls = tracer.calls | {module: [Call(top.inputs, self.nodes[-1].args[0])]}
        self.modules = named_modules(module)

    def call(self, site: Site) -> Call:
        """The call of a module that a site names.

        Raises:
            ValueError: no such module, never called, called more than once and no `@k` said which.
            Untraceable: the module lies inside one that is a single operation here.
        """
        calls = self._calls.get(find(self.module, site), [])
        if not calls:
            raise Untraceable(f"site {site.text!r} lies in a module that is one operation of the graph")
        if len(calls) > 1 and not isinstance(site.call, int):
            raise ValueError(
                f"site {site.text!r}: the module is called {len(calls)} times in a forward; "
                f"say which: {site.name}@0 to {site.name}@{len(calls) - 1}"
            )
        if isinstance(site.call, int) and site.call >= len(calls):
            raise ValueError(
                f"site {site.text!r} is never reached: the module is called {len(calls)} times, count from 0"
            )
        return calls[site.call if isinstance(site.call, int) else 0]

    def leaves(self, site: Site) -> list[fx.Node]:
        """All nodes in what goes in or comes out of the module, of which the site's tensor is one."""
        call = self.call(site)
        found: list[fx.Node] = []
        map_arg(call.inputs if site.side == "in" else call.outputs, lambda node: found.append(node) or node)
        return found

    def place(self, site: Site, values: dict[fx.Node, Any]) -> tuple[fx.Node, tuple[str, ...]]:
        """The node of a site, and the path within the node's value where that is no tensor.

        Args:
            site: the site.
            values: at least what `leaves` have in a run.
        """
        call = self.call(site)
        nodes = call.inputs if site.side == "in" else call.outputs
        path = locate(filled(nodes, values), site)
        while path and not isinstance(nodes, fx.Node):
            if isinstance(nodes, dict):
                nodes = next(child for key, child in nodes.items() if str(key) == path[0])
            else:
                fields = getattr(nodes, "_fields", ())
                nodes = nodes[fields.index(path[0]) if path[0] in fields else int(path[0])]
            path = path[1:]
        return nodes, path

    def run(self, inputs: tuple, keep: Iterable[fx.Node]) -> tuple[dict[fx.Node, Any], Any, bool]:
        """Run the graph; no gradients.

        Returns:
            The values of the nodes to keep, the output, and whether an operation in place was found and
            rewritten, in which case other nodes may be needed now than before.
        """
        keep = set(keep)
        last = {used: node for node in self.nodes for used in node.all_input_nodes}
        values: dict[fx.Node, Any] = {}
        fresh = iter([leaf for leaf in pytree.tree_leaves(inputs) if isinstance(leaf, Tensor)])
        rewritten = False
        with torch.no_grad():
            for node in self.nodes:
                if node.op == "placeholder":
                    values[node] = next(fresh).detach().clone()
                    continue
                if node.op == "output":
                    return values, filled(node.args[0], values), rewritten
                before = _versions(values)
                values[node] = self.evaluate(node, values)
                changed = [other for other, version in before.items() if values[other]._version != version]
                if changed:
                    self._as_copy(node, changed, values)
                    last = {used: later for later in self.nodes for used in later.all_input_nodes}
                    rewritten = True
                for used in node.all_input_nodes:
                    if used not in keep and last[used] is node:
                        del values[used]
        raise Untraceable("the graph has no output")

    def evaluate(self, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
        """One operation on the values of its inputs."""
        copies = node.meta.get("copies", ())

        def value(used: fx.Node) -> Any:
            return values[used].clone() if used in copies else values[used]

        if node.op == "get_attr":
            return attribute(self.module, str(node.target))
        args, kwargs = map_arg(node.args, value), map_arg(node.kwargs, value)
        return operation(self, node)(*args, **kwargs)

    def _as_copy(self, node: fx.Node, changed: list[fx.Node], values: dict[fx.Node, Any]) -> None:
        """Make `node`, which changed the tensors of `changed` nodes in place, work on a copy."""
        order = {other: k for k, other in enumerate(self.nodes)}
        result = values[node]
        own = [used for used in node.all_input_nodes if used in changed]
        moved = []
        for other in changed:
            later = [user for user in other.users if order[user] > order[node]]
            if other.op == "get_attr":
                raise Untraceable(f"{node.target} changes {other.target} in place")
            if later:
                if not isinstance(result, Tensor) or not _same_memory(result, values[other]):
                    raise Untraceable(f"{node.target} changes a part of a tensor in place that is read later")
                moved.append(other)
            for user in later:
                user.replace_input_with(other, node)
        node.meta["copies"], node.meta["moved"] = frozenset(own), tuple(moved)


def filled(structure: Any, values: Mapping[fx.Node, Any]) -> Any:
    """A structure with values in place of nodes; fx's own lists and dicts become ordinary ones."""
    if isinstance(structure, fx.Node):
        return values[structure]
    if isinstance(structure, dict):
        return {key: filled(child, values) for key, child in structure.items()}
    if isinstance(structure, (tuple, list)):
        children = [filled(child, values) for child in structure]
        if isinstance(structure, list):
            return children
        return type(structure)(*children) if hasattr(structure, "_fields") else tuple(children)
    return structure


def operation(trace: Trace, node: fx.Node) -> Any:
    """What a node calls."""
    if node.op == "call_module":
        return trace.modules[str(node.target)]
    if node.op == "call_method":
        return getattr(Tensor, str(node.target), None) or _method(str(node.target))
    return node.target


def _method(name: str) -> Any:
    return lambda owner, *args, **kwargs: getattr(owner, name)(*args, **kwargs)


def attribute(module: nn.Module, path: str) -> Any:
    """A parameter or buffer by its dotted path, as it is now."""
    owner: Any = module
    for name in path.split("."):
        owner = getattr(owner, name)
    return owner


def hooked(module: nn.Module) -> bool:
    """Whether any forward hook would fire in a forward of this module."""
    return bool(
        torch_module._global_forward_hooks
        or torch_module._global_forward_pre_hooks
        or any(child._forward_hooks or child._forward_pre_hooks for child in first_names(module))
    )


def _nodes(value: Any) -> Any:
    return map_aggregate(value, lambda leaf: leaf.node if isinstance(leaf, fx.Proxy) else leaf)


def _versions(values: dict[fx.Node, Any]) -> dict[fx.Node, int]:
    return {
        node: value._version
        for node, value in values.items()
        if isinstance(value, Tensor) and not value.is_inference()
    }


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return (one.data_ptr(), one.shape, one.stride()) == (other.data_ptr(), other.shape, other.stride())
