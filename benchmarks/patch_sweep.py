"""An exact patch sweep over all convolution outputs x all channels of the IMPALA network, 64 positions.

400 patches: 5 convolutions of 16 channels, 10 of 32. Peers, on the same samples in the same process, with as many
samples in a forward, the same memory format, threads and precision: full forwards with a plain forward hook that writes
the corrupt channel into the output in place (the fastest hook we know), and nnsight 0.8.1 where it is installed
(benchmarks/requirements.txt). Every run begins with reading the corrupt activations and ends with the logits' metric.

Bounds: at least 2.5 times as fast as hooks, faster than nnsight, at most twice the hooks' memory. Peak memory is that of
a process each (resident, less what it was before the sweep).
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from goalscope.methods.intervening.patch import patch_effects
from goalscope.policies.impala import Impala

POSITIONS = 64
REPEATS = 3


def subject() -> tuple[Impala, Tensor, Tensor, list[str]]:
    """The network, 64 clean and 64 corrupt observations, and the names of its convolutions."""
    torch.manual_seed(0)
    module = Impala().eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clean, corrupt = (
        torch.rand(POSITIONS, 3, 64, 64).to(memory_format=torch.channels_last) for _ in range(2)
    )
    return module, clean, corrupt, [name for name, m in module.named_modules() if isinstance(m, nn.Conv2d)]


def metric(output: Any) -> Tensor:
    """[N] logit of the first action less that of the second."""
    return output[0][:, 0] - output[0][:, 1]


def ours(module: Impala, clean: Tensor, corrupt: Tensor, sites: list[str]) -> list[Tensor]:
    """The sweep of goalscope: [400][64] effects."""
    result = patch_effects(module, clean, corrupt, sites, metric, batch=POSITIONS)
    return [torch.from_numpy(row) for site in sites for row in result.effect[site]]


def hooks(module: Impala, clean: Tensor, corrupt: Tensor, sites: list[str]) -> list[Tensor]:
    """Full forwards with plain hooks."""
    layers = {site: module.get_submodule(site) for site in sites}
    source: dict[str, Tensor] = {}
    effects = []
    with torch.inference_mode():

        def keep(site: str) -> Callable[..., None]:
            return lambda _, x, out: source.update({site: out.clone()})

        handles = [layer.register_forward_hook(keep(site)) for site, layer in layers.items()]
        module(corrupt)
        for handle in handles:
            handle.remove()
        base = metric(module(clean))
        for site, layer in layers.items():
            for channel in range(source[site].shape[1]):

                def write(_: Any, x: Any, out: Any, site: str = site, channel: int = channel) -> None:
                    out[:, channel] = source[site][:, channel]

                handle = layer.register_forward_hook(write)
                effects.append((metric(module(clean)) - base).double())
                handle.remove()
    return effects


def nnsight(module: Impala, clean: Tensor, corrupt: Tensor, sites: list[str]) -> list[Tensor]:
    """The same with nnsight's traces."""
    from nnsight import NNsight  # type: ignore[import-not-found]

    model = NNsight(module)
    source, effects = {}, []
    with torch.inference_mode():
        for site in sites:
            with model.trace(corrupt):
                saved = model.get(site).output.save()
            source[site] = saved
        base = metric(module(clean))
        for site in sites:
            for channel in range(source[site].shape[1]):
                with model.trace(clean):
                    model.get(site).output[:, channel] = source[site][:, channel]
                    out = model.output.save()
                effects.append((metric(out) - base).double())
    return effects


SWEEPS: dict[str, Callable[..., list[Tensor]]] = {"ours": ours, "hooks": hooks, "nnsight": nnsight}


def megabytes() -> float:
    """Largest resident size so far of this process (what getrusage says begins with the parent's)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def peak(name: str, threads: int) -> float:
    """MB that one sweep adds, in a process of its own."""
    command = [sys.executable, __file__, "--memory", name, "--threads", str(threads)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> None:
    """Prints a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", choices=SWEEPS, help="run one sweep and print the MB it added")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    module, clean, corrupt, sites = subject()
    if options.memory:
        with torch.inference_mode():
            module(clean[:2])
        before = megabytes()
        SWEEPS[options.memory](module, clean, corrupt, sites)
        print(megabytes() - before)
        return
    names = list(SWEEPS)
    if importlib.util.find_spec("nnsight") is None:
        names.remove("nnsight")
        warnings.warn("nnsight is not installed (benchmarks/requirements.txt): hooks only", stacklevel=1)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    effects: dict[str, Tensor] = {}
    # One for each and every repeat, made before nnsight is called: it leaves the module that it is given instrumented.
    own = [{name: copy.deepcopy(module) for name in names} for _ in range(options.repeats)]
    for modules in own:
        for name in names:
            start = time.perf_counter()
            effects[name] = torch.stack(SWEEPS[name](modules[name], clean, corrupt, sites))
            seconds[name].append(time.perf_counter() - start)
    size = float(effects["hooks"].abs().max())
    print(f"{len(effects['ours'])} patches x {POSITIONS} positions, {torch.get_num_threads()} threads")
    print(f"{'':10}{'seconds':>10}{'peak, MB':>10}{'largest difference from hooks':>32}")
    for name in names:
        apart = float((effects[name] - effects["hooks"]).abs().max())
        if not apart <= 1e-4 * size:
            raise SystemExit(f"{name} does not agree with hooks: {apart:.2e} of {size:.2e}")
        print(
            f"{name:10}{statistics.median(seconds[name]):10.2f}{peak(name, options.threads):10.0f}"
            f"{apart:22.1e} of {size:.1e}"
        )
    mine = statistics.median(seconds["ours"])
    for name in names[:0:-1]:
        ending = "" if name == "hooks" else f"_{name}"
        print(f"RATIO patch_sweep{ending} {statistics.median(seconds[name]) / mine:.3f}")


if __name__ == "__main__":
    main()
