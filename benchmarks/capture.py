"""Capture of every site of a network against its bare forward plus plain copies of the same tensors.

Ours: `capture` of all sites, which also looks for activations that are not finite. The bound, 1.1, is on ours over
(bare forward + a copy of each tensor). Beside them: plain hooks that clone, and nnsight where it is installed
(benchmarks/requirements.txt). Each has a copy of the network
of its own. Same inputs, batch size, threads and precision; alternating, medians.
"""

from __future__ import annotations

import copy
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.activations import capture, sites
from goalscope.policies.compact import Compact
from goalscope.policies.impala import Impala

REPEATS = 31
POSITIONS = 64


def medians(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each, alternating, after a warm-up of all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(REPEATS + 3):
        for name, run in runs.items():
            start = time.perf_counter()
            held = run()
            seconds = time.perf_counter() - start
            del held  # to give the memory back is not timed, for nobody
            if i >= 3:
                times[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def by_hooks(module: nn.Module, x: Tensor, names: list[str]) -> dict[str, Any]:
    """Every module's output, cloned in a plain forward hook."""
    kept: dict[str, Any] = {}
    modules = dict(module.named_modules())
    handles = []
    for name in names:

        def hook(_: nn.Module, args: Any, out: Any, name: str = name) -> None:
            kept[name] = (out if isinstance(out, Tensor) else out[0]).clone()

        handles.append(modules[name].register_forward_hook(hook))
    with torch.no_grad():
        module(x)
    for handle in handles:
        handle.remove()
    return kept


def by_nnsight(module: nn.Module) -> Callable[[Tensor, list[str]], dict[str, Any]] | None:
    """The same in nnsight's trace, or None where it is not installed."""
    if importlib.util.find_spec("nnsight") is None:
        return None
    import nnsight  # type: ignore[import-not-found]

    wrapped = nnsight.NNsight(module)

    def run(x: Tensor, names: list[str]) -> dict[str, Any]:
        envoys = {name: wrapped.get(name) for name in names if name}
        with torch.no_grad(), wrapped.trace(x):
            kept = nnsight.save({name: envoy.output.clone() for name, envoy in envoys.items()})
        return kept

    return run


def main() -> None:
    """Prints a table, and a ratio for each network."""
    torch.manual_seed(0)
    rows = {}
    cases: tuple[tuple[str, Any, tuple[int, ...]], ...] = (
        ("compact", Compact(25), (POSITIONS, 3, 25, 25)),
        ("impala", Impala(), (POSITIONS, 3, 64, 64)),
    )
    for name, network, shape in cases:
        network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.rand(shape).contiguous(memory_format=torch.channels_last)
        places = list(sites(network, x))
        tensors = capture(network, x, places)
        plain = [place for place in places if ":" not in place]

        # One each, made before nnsight is called: it leaves the module that it is given instrumented.
        own = {who: copy.deepcopy(network) for who in ("bare", "ours", "hooks", "nnsight")}

        def bare(network: Any = own["bare"], x: Tensor = x) -> object:
            with torch.no_grad():
                return network(x)

        def copies(tensors: dict[str, Tensor] = tensors) -> object:
            return [tensor.clone() for tensor in tensors.values()]

        def ours(network: Any = own["ours"], x: Tensor = x, places: list[str] = places) -> object:
            return capture(network, x, places)

        def hooks(network: Any = own["hooks"], x: Tensor = x, plain: list[str] = plain) -> object:
            return by_hooks(network, x, plain)

        runs: dict[str, Callable[[], object]] = {"bare": bare, "copies": copies, "ours": ours, "hooks": hooks}
        trace = by_nnsight(own["nnsight"])
        if trace is not None:
            runs["nnsight"] = lambda trace=trace, x=x, plain=plain: trace(x, plain)
        rows[name] = (medians(runs), len(places), sum(tensor.nbytes for tensor in tensors.values()))
    print(f"{POSITIONS} positions, {torch.get_num_threads()} threads, ms")
    print(f"{'':10}{'sites':>7}{'MB':>7}{'bare':>8}{'copies':>8}{'ours':>8}{'hooks':>8}{'nnsight':>9}")
    for name, (times, count, size) in rows.items():
        shown = [f"{1000 * times[key]:8.1f}" for key in ("bare", "copies", "ours", "hooks")]
        nnsight = f"{1000 * times['nnsight']:9.1f}" if "nnsight" in times else f"{'-':>9}"
        print(f"{name:10}{count:7}{size / 1e6:7.1f}{''.join(shown)}{nnsight}")
    for name, (times, _, _) in rows.items():
        suffix = "" if name == "impala" else f"_{name}"
        print(f"RATIO capture{suffix} {times['ours'] / (times['bare'] + times['copies']):.3f}")


if __name__ == "__main__":
    main()
