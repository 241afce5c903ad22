"""The Jacobian of a mouse's logits by every site, 256 samples.

Peers, on the same samples in the same process: a loop over samples and logits, each a backward pass that fills every site at
once (what one writes who wants each sample's own derivative); and a loop over sites and logits, each a forward and a
backward pass of all samples (what one writes who knows that samples do not meet). Bound: at least 5 times as fast as each.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import goalscope
from goalscope.activations import sites
from goalscope.methods.linear.jacobians import INPUT, jacobians

SAMPLES = 256


def subject() -> tuple[nn.Module, Tensor, list[str]]:
    """The packaged mouse, its observations of 256 mazes, and the names of its sites."""
    module = goalscope.load("mouse-topright").module
    world = goalscope.Maze(size=13, cheese_region=None)
    x = module.encode(world.observe(world.generate(range(SAMPLES))))  # type: ignore[operator]
    return module, x, [site for site in sites(module, x) if site and site[0] != ":"]


def kept(module: nn.Module, x: Tensor, named: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and the tensors at the sites, with their graph, by plain hooks."""
    found: dict[str, Tensor] = {}
    handles = []
    for site in named:

        def keep(_: nn.Module, inputs: object, out: Tensor, site: str = site) -> None:
            found[site] = out

        handles.append(module.get_submodule(site.partition(":")[0]).register_forward_hook(keep))
    logits = module(x).logits
    for handle in handles:
        handle.remove()
    return logits, found


def ours(module: nn.Module, x: Tensor, named: list[str]) -> dict[str, Tensor]:
    """All sites in one call."""
    return jacobians(module, x, [INPUT, *named], batch=64)


def samples(module: nn.Module, x: Tensor, named: list[str]) -> dict[str, Tensor]:
    """A backward pass for each sample and logit."""
    rows: dict[str, list[Tensor]] = {site: [] for site in [INPUT, *named]}
    for k in range(len(x)):
        one = x[k : k + 1].clone().requires_grad_()
        logits, found = kept(module, one, named)
        each = [
            torch.autograd.grad(
                logit, [one, *found.values()], retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for logit in logits[0]
        ]
        for j, site in enumerate([INPUT, *found]):
            rows[site].append(torch.stack([row[j][0] for row in each]))
    return {site: torch.stack(row) for site, row in rows.items()}


def one_by_one(module: nn.Module, x: Tensor, named: list[str]) -> dict[str, Tensor]:
    """A forward and a backward pass for each site and logit."""
    made = {}
    for site in [INPUT, *named]:
        rows = []
        for k in range(5):
            free = x.clone().requires_grad_()
            logits, found = kept(module, free, named)
            at = free if site == INPUT else found[site]
            rows.append(
                torch.autograd.grad(logits[:, k].sum(), at, allow_unused=True, materialize_grads=True)[0]
            )
        made[site] = torch.stack(rows, 1)
    return made


WAYS: dict[str, Callable[..., dict[str, Tensor]]] = {
    "ours": ours,
    "samples": samples,
    "one_by_one": one_by_one,
}


def main() -> None:
    """Prints a table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    module, x, named = subject()
    jacobians(module, x[:2])
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    made = {}
    for _ in range(options.repeats):
        for way, take in WAYS.items():
            start = time.perf_counter()
            made[way] = take(module, x, named)
            seconds[way].append(time.perf_counter() - start)
    print(f"{len(named) + 1} sites, {SAMPLES} samples, {torch.get_num_threads()} threads")
    for way in WAYS:
        apart = max(float((made[way][site] - made["ours"][site]).abs().max()) for site in made["ours"])
        size = max(float(one.abs().max()) for one in made["ours"].values())
        if not apart <= 1e-4 * size:
            raise SystemExit(f"{way} does not agree with ours: {apart:.1e} of {size:.1e}")
        print(f"{way:12}{statistics.median(seconds[way]):8.2f} s, apart by at most {apart:.1e} of {size:.1e}")
    mine = statistics.median(seconds["ours"])
    print(f"RATIO jacobian_sites_one_by_one {statistics.median(seconds['one_by_one']) / mine:.3f}")
    print(f"RATIO jacobian_sites {statistics.median(seconds['samples']) / mine:.3f}")


if __name__ == "__main__":
    main()
