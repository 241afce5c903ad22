"""Training of a dictionary from any iterator of activations, with progress, a curve, and resume after a kill.

Rows are scaled once to norm √d and centred on their geometric median; the decoder's rows are of unit norm after every
step, and their gradient has no part along them. What is given back acts on activations as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from goalscope.files import write_whole
from goalscope.methods.reading.dictionary.feed import Feed, Rows
from goalscope.methods.reading.dictionary.learned import Dictionary
from goalscope.methods.reading.dictionary.losses import Seen, Weights, auxiliary_loss, batch_loss
from goalscope.methods.reading.dictionary.recipe import Recipe
from goalscope.progress import step
from goalscope.showing import drawing, text

STATE = "state.safetensors"
EVERY = 250
"""steps after which a training in a folder is kept"""
POINTS = 100
"""of a curve, at most"""
COLUMNS = ("step", "unexplained", "active", "dead")
STEER = 0.03
"""power of (active / wanted) by which the weight of a steered L1 changes in a step"""
WARM, COOL = 0.05, 0.2
"""shares of the steps in which the rate rises from 0, and falls to 0"""


@dataclass(frozen=True)
class Training:
    """A dictionary and how it came about."""

    __repr__, _repr_html_ = text, drawing

    dictionary: Dictionary
    """what was trained"""
    steps: np.ndarray
    """[P] int, when the numbers below were taken"""
    unexplained: np.ndarray
    """[P] squared error over the squared distance of the batch from its mean"""
    active: np.ndarray
    """[P] latents that a row had active, on average"""
    dead: np.ndarray
    """[P] share of latents that had not fired for long"""


def train(
    rows: Rows, recipe: Recipe, *, folder: str | os.PathLike[str] | None = None, site: str = ""
) -> Training:
    """Trains a dictionary.

    Args:
        rows: activations [n, d], or chunks of them in an order that is already mixed (see `feed.Rows`). Squares of a map
            are rows; which levels they are from must have been decided before, since levels are the unit of any split.
        recipe: what is trained.
        folder: keeps the training every 250 steps; the same call after a kill goes on there, to the same bytes.
        site: where the activations are from, for those who use the dictionary.

    Raises:
        ValueError: no rows, rows of no [n, d], not finite or constant; rows that end too early; the folder holds another
            training (what differs is named).
        OSError: the folder cannot be written.
    """
    feed = Feed(rows, recipe.batch, recipe.seed)
    run = _Run(recipe, feed)
    path = None if folder is None else Path(folder) / STATE
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        run.go_on(path)
    with step(
        f"training a {recipe.kind} dictionary of {recipe.width}", "steps", recipe.steps, run.done
    ) as tell:
        batches = feed.batches(run.done)
        while run.done < recipe.steps:
            seen = run.step(next(batches))
            tell(run.done, f"{seen.active:.1f} active")
            if path is not None and (run.done % EVERY == 0 or run.done == recipe.steps):
                write_whole(path, run.record())
    curve = run.curve[: run.points].numpy()
    return Training(run.dictionary(site), curve[:, 0].astype(np.int64), *curve[:, 1:].T)


def geometric_median(rows: Tensor, rounds: int = 50) -> Tensor:
    """[d] the point with the least sum of distances to the rows [n, d] (Weiszfeld's iteration)."""
    here = rows.mean(0)
    for _ in range(rounds):
        weight = 1 / (rows - here).norm(dim=1).clamp(min=1e-8)
        new = (rows * weight[:, None]).sum(0) / weight.sum()
        if (new - here).norm() <= 1e-6 * (1 + here.norm()):
            return new
        here = new
    return here


class _Run:
    """A training while it lasts."""

    def __init__(self, recipe: Recipe, feed: Feed):
        self.recipe, first = recipe, feed.first
        self.batch = feed.batch
        middle = geometric_median(first)
        norm = (first - middle).norm(dim=1).mean()
        if norm <= 1e-6 * (1 + middle.norm()):
            raise ValueError(
                f"the activations are constant ({len(first):,} rows that do not differ): there is nothing to explain; "
                "look at another site, or at other inputs"
            )
        self.scale = float(first.shape[1] ** 0.5 / norm)
        generator = torch.Generator().manual_seed(recipe.seed)
        directions = torch.randn(recipe.width, first.shape[1], generator=generator)
        directions /= directions.norm(dim=1, keepdim=True)
        start = {
            "encoder": directions.clone(),
            "encoder_bias": torch.zeros(recipe.width),
            "decoder": directions,
            "bias": middle * self.scale,
            "log_threshold": torch.full((recipe.width,), recipe.bandwidth * 2).log(),
        }
        self.weights = Weights(**{name: tensor.requires_grad_() for name, tensor in start.items()})
        used = {
            name: tensor
            for name, tensor in start.items()
            if name != "log_threshold" or recipe.kind == "jumprelu"
        }
        self.named = used
        self.adam = torch.optim.Adam(list(used.values()), lr=recipe.step_size, fused=True)
        for tensor in used.values():
            self.adam.state[tensor] = {
                "step": torch.zeros(()), "exp_avg": torch.zeros_like(tensor), "exp_avg_sq": torch.zeros_like(tensor),
            }  # fmt: skip
        self.done, self.points = 0, 0
        self.idle = torch.zeros(recipe.width, dtype=torch.int64)
        self.curve = torch.zeros(POINTS + 1, len(COLUMNS), dtype=torch.float64)
        # L1's weight where it is steered, and the running threshold of kinds that choose in a batch
        self.pressure = torch.tensor(1e-3 if recipe.l1 is None else recipe.l1, dtype=torch.float64)
        self.least = torch.tensor(float("nan"), dtype=torch.float64)
        about = {"recipe": asdict(recipe), "rows": hashlib.sha256(first.numpy().tobytes()).hexdigest()}
        self.about = json.loads(json.dumps(about))

    def step(self, rows: Tensor) -> Seen:
        """One step on rows [batch, d] as they come."""
        recipe, weights = self.recipe, self.weights
        x = rows * self.scale
        seen = batch_loss(weights, x, recipe, float(self.pressure))
        loss = seen.loss
        dead = self.idle > recipe.patience
        if recipe.auxiliary and dead.any():
            loss = loss + recipe.auxiliary * auxiliary_loss(weights, x, seen.error, dead.nonzero()[:, 0])
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self._keep_norm()
        self.done += 1
        self.idle += len(x)
        self.idle[seen.fired] = 0
        self._steer(seen)
        if self.done % max(1, -(-recipe.steps // POINTS)) == 0 or self.done == recipe.steps:
            total = (x - x.mean(0)).square().sum().clamp(min=1e-12)
            share = float(seen.error.square().sum() / total)
            numbers = [self.done, share, seen.active, float(dead.float().mean())]
            self.curve[self.points] = torch.tensor(numbers, dtype=torch.float64)
            self.points += 1
        return seen

    def _keep_norm(self) -> None:
        """A step of Adam that leaves the decoder's rows on the sphere."""
        decoder: Any = self.weights.decoder
        share = self.done / self.recipe.steps
        rate = min(1.0, (share + 1 / self.recipe.steps) / WARM, max((1 - share) / COOL, 1e-3))
        self.adam.param_groups[0]["lr"] = self.recipe.step_size * rate
        with torch.no_grad():
            along = (decoder.grad * decoder).sum(1, keepdim=True)
            decoder.grad.addcmul_(along, decoder, value=-1)
            self.adam.step()
            decoder /= decoder.norm(dim=1, keepdim=True).clamp(min=1e-12)

    def _steer(self, seen: Seen) -> None:
        recipe = self.recipe
        if recipe.kind == "relu" and recipe.l1 is None:
            ratio = min(max(seen.active / recipe.k, 0.25), 4.0)
            self.pressure *= ratio**STEER
        if recipe.kind in ("batchtopk", "matryoshka") and seen.least == seen.least:
            known = not self.least.isnan()
            self.least.copy_(0.99 * self.least + 0.01 * seen.least if known else torch.tensor(seen.least))

    def dictionary(self, site: str) -> Dictionary:
        """The weights as they are, for activations that are not scaled: relu and topk grow with their input."""
        recipe = self.recipe
        held = {name: tensor.detach().clone() for name, tensor in self.named.items()}
        threshold = None
        if recipe.kind == "jumprelu":
            threshold = held["log_threshold"].exp() / self.scale
        elif recipe.kind in ("batchtopk", "matryoshka"):
            threshold = torch.full((recipe.width,), float(self.least.nan_to_num(0.0)) / self.scale)
        return Dictionary(
            encoder=held["encoder"], encoder_bias=held["encoder_bias"] / self.scale, decoder=held["decoder"],
            bias=held["bias"] / self.scale, kind=recipe.kind, site=site, threshold=threshold,
            k=recipe.k if recipe.kind in ("topk", "multitopk") else None,
        )  # fmt: skip

    def _tensors(self) -> dict[str, Tensor]:
        """All that changes, by name; the tensors themselves."""
        held = {"idle": self.idle, "curve": self.curve, "pressure": self.pressure, "least": self.least}
        for name, tensor in self.named.items():
            held[name] = tensor.detach()
            held |= {f"{name}.{part}": value for part, value in self.adam.state[tensor].items()}
        return held

    def record(self) -> bytes:
        """What a killed training goes on from."""
        counts = {"done": self.done, "points": self.points}
        return save(self._tensors(), {"about": json.dumps({**self.about, **counts})})

    def go_on(self, path: Path) -> None:
        """Takes over what the folder holds.

        Raises:
            ValueError: it is of another training, or damaged.
        """
        if not path.exists():
            return
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["about"])
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise ValueError(
                f"{path} is no training of a dictionary ({error}): delete it, or name another folder"
            ) from error
        old, new = about["recipe"], self.about["recipe"]
        changed = [f"{name}: {old.get(name)!r} there" for name in new if old.get(name) != new[name]]
        changed += ["other activations"] * (about["rows"] != self.about["rows"])
        if changed:
            raise ValueError(
                f"{path.parent} holds another training ({'; '.join(changed)}): name another folder, or delete it"
            )
        self.done, self.points = about["done"], about["points"]
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(held[name])
