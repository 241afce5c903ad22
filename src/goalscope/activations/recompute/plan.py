"""Which operations of a forward depend on a site, in order, and how they are run again with another value there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from goalscope.activations.recompute.trace import Trace, Untraceable, attribute, filled, mark, operation
from goalscope.activations.sites import Site, with_tensor


@dataclass(frozen=True)
class Step:
    """One operation that depends on a site.

    Attributes:
        node: the node whose value it makes.
        call: what is called; None for a parameter, which is read anew.
        args: its arguments, with nodes in place of values.
        kwargs: its keyword arguments, likewise.
        copies: nodes whose values are copied first, since the operation changes them in place.
        last: nodes whose values are not needed after this step.
    """

    node: fx.Node
    call: Callable[..., Any] | None
    args: tuple
    kwargs: dict
    copies: frozenset[fx.Node]
    last: tuple[fx.Node, ...]

    @property
    def inputs(self) -> set[fx.Node]:
        """The nodes among the arguments."""
        return nodes_in((self.args, self.kwargs))

    def evaluate(self, values: dict[fx.Node, Any], module: nn.Module) -> Any:
        """Its value from those of its inputs; `module` is the traced module, whose parameters are read."""
        if self.call is None:
            return attribute(module, str(self.node.target))

        def value(used: fx.Node) -> Any:
            return values[used].clone() if used in self.copies else values[used]

        return self.call(*map_arg(self.args, value), **map_arg(self.kwargs, value))


@dataclass(frozen=True)
class Plan:
    """What to run for one site.

    Attributes:
        place: the node of the site.
        path: keys within the node's value where that is no tensor.
        steps: the operations in order.
        kept: nodes whose values the steps need from the run.
        result: the output's structure with nodes in place of values.
    """

    place: fx.Node
    path: tuple[str, ...]
    steps: tuple[Step, ...]
    kept: frozenset[fx.Node]
    result: Any

    @property
    def outputs(self) -> set[fx.Node]:
        """The nodes that the output is made of."""
        return nodes_in(self.result)

    def run(self, recorded: dict[fx.Node, Any], value: Tensor, module: nn.Module) -> Any:
        """The output with `value` at the site; `recorded` has the values of the run."""
        values = {node: recorded[node] for node in self.kept}
        values[self.place] = with_tensor(recorded[self.place], self.path, value)
        for step in self.steps:
            values[step.node] = step.evaluate(values, module)
            for used in step.last:
                del values[used]
        return self.output(values)

    def output(self, values: dict[fx.Node, Any]) -> Any:
        """The output in its structure."""
        return filled(self.result, values)


def dependent(nodes: Sequence[fx.Node], roots: set[fx.Node]) -> set[fx.Node]:
    """All nodes after the roots that need one of them, the roots left out."""
    found: set[fx.Node] = set()
    for node in nodes:
        if node not in roots and any(used in found or used in roots for used in node.all_input_nodes):
            found.add(node)
    return found


def plan(trace: Trace, site: Site, values: dict[fx.Node, Any]) -> Plan:
    """The operations to run for a site: those that depend on it and that the output needs.

    Raises:
        Untraceable: an operation in place that means another tensor once the site is replaced.
    """
    place, path = trace.place(site, values)
    inner = dependent(trace.nodes, {place})
    for node in inner:
        copied = [used for used in node.meta.get("copies", ()) if used is place or used in inner]
        if copied and any(other is not place and other not in inner for other in node.meta["moved"]):
            raise Untraceable(
                f"{node.target} changes the site {site.text!r} and what comes before it in place"
            )
    output = trace.nodes[-1]
    inner -= {output}

    def origin(node: fx.Node) -> fx.Node:
        """Past the marks, which do nothing."""
        while node.target is mark and node in inner:
            (node,) = node.all_input_nodes
        return node

    result = map_arg(output.args[0], origin)
    needed = nodes_in(result)
    steps: list[Step] = []
    last = set(needed)
    for node in reversed(trace.nodes):
        live = node.op == "get_attr"
        if node not in needed or not (live or node in inner):
            continue
        args, kwargs = map_arg((node.args, node.kwargs), origin)
        used = nodes_in((args, kwargs))
        copies = frozenset(origin(other) for other in node.meta.get("copies", ()))
        call = None if live else operation(trace, node)
        steps.append(Step(node, call, args, kwargs, copies, tuple(used - last)))
        last |= used
        needed |= used
    made = {step.node for step in steps}
    return Plan(place, path, tuple(steps[::-1]), frozenset(needed - made - {place}), result)


def nodes_in(value: Any) -> set[fx.Node]:
    """All nodes in a structure."""
    found: set[fx.Node] = set()
    map_arg(value, lambda node: found.add(node) or node)
    return found
