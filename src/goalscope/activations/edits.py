"""What to put at a site: zero, mean, resample, add, clamp, replace; all of it or a part.

Every edit takes the same keyword arguments for the part that it changes, and changes no other number:

* `samples`: indices on axis 0;
* `channels`: indices on the channel axis, which is axis 1 of [N, C, H, W] (and of [N, C, D, H, W]) and the last axis of
  [N, C] and [N, T, C]; `channel_axis` says another one;
* `heads`, `of`: blocks of channels, as `heads=[1], of=8` for the second of eight heads at the input of an attention's
  output projection;
* `positions`: indices on the axes that are left: (row, column) for [N, C, H, W], numbers for [N, T, C].

Several of them together mean every combination. The part's own shape is [samples, channels, positions], or
[samples, channels, *space] where no positions are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from goalscope.showing import drawing, text

Values = Tensor | float | Sequence[Any]


class Refused(ValueError):
    """An edit does not fit the tensor at its site; the message lacks only the site's name."""


@dataclass(frozen=True)
class Edit:
    """An edit of a part of a tensor; calling it gives a new tensor.

    Attributes:
        change: (part, whole tensor, `Part`) -> the new part.
        samples, channels, heads, of, positions, channel_axis: see the module.
    """

    __repr__, _repr_html_ = text, drawing

    change: Callable[[Tensor, Tensor, Part], Tensor]
    samples: Sequence[int] | None = None
    channels: Sequence[int] | None = None
    heads: Sequence[int] | None = None
    of: int | None = None
    positions: Sequence[Any] | None = None
    channel_axis: int | None = None

    def __call__(self, tensor: Tensor) -> Tensor:
        """The edited tensor, of the same shape; the given one stays as it is.

        Raises:
            ValueError: the restriction or the values do not fit the shape.
        """
        part = Part.of(self, tensor)
        if part.index is None:
            new = self.change(tensor.movedim(part.axis, 1) if part.axis is not None else tensor, tensor, part)
            return new.movedim(1, part.axis) if part.axis is not None else new
        new = tensor.clone()
        view = new.movedim(part.axis, 1) if part.axis is not None else new
        view[part.index] = self.change(view[part.index], tensor, part)
        return new


@dataclass(frozen=True)
class Part:
    """Which part of a tensor an edit changes.

    Attributes:
        axis: the channel axis; None where the tensor has none ([N], or a single number).
        channels: indices of the changed channels; None for all.
        index: what to index the tensor with, its channel axis moved to axis 1; None for the whole.
    """

    axis: int | None
    channels: list[int] | None
    index: tuple[Any, ...] | None

    @classmethod
    def of(cls, edit: Edit, tensor: Tensor) -> Part:
        """The part of this tensor that an edit names."""
        axis = _channel_axis(tensor, edit.channel_axis)
        space = [size for k, size in enumerate(tensor.shape) if k not in (0, axis)]
        channels = edit.channels
        if edit.heads is not None:
            channels = _of_heads(edit, tensor, axis)
        if channels is not None:
            if axis is None:
                raise Refused(f"a site of shape {list(tensor.shape)} has no channels to choose from")
            channels = _checked(channels, tensor.shape[axis], "channels", tensor)
        samples = edit.samples
        if samples is not None:
            if not tensor.ndim:
                raise Refused("a single number has no samples to choose from")
            samples = _checked(samples, len(tensor), "samples", tensor)
        if channels is None and samples is None and edit.positions is None:
            return cls(axis, None, None)
        rows: Any = slice(None) if samples is None else torch.tensor(samples)
        if axis is None:
            return cls(None, None, (rows,))
        columns: Any = slice(None) if channels is None else torch.tensor(channels)
        places: list[Any] = []
        if edit.positions is not None:
            if samples is not None and channels is None:  # index tensors must stand side by side
                columns = torch.arange(tensor.shape[axis])
            places = [
                torch.tensor(list(p)) for p in zip(*_places(edit.positions, space, tensor), strict=True)
            ]
        if isinstance(columns, Tensor):
            columns = columns[:, None] if places else columns
        if isinstance(rows, Tensor):
            rows = rows.reshape(-1, *[1] * (isinstance(columns, Tensor) + bool(places)))
        return cls(axis, channels, (rows, columns, *places))


def zero(**part: Any) -> Edit:
    """Sets the part to 0. Zero is often a value that the network never sees there: prefer `resample`."""
    return _edit(lambda old, whole, where: torch.zeros_like(old), part)


def mean(**part: Any) -> Edit:
    """Sets each channel to its mean over all samples and positions of the batch.

    Raises, when it runs:
        ValueError: there is one sample without positions, whose mean is itself.
    """

    def change(old: Tensor, whole: Tensor, where: Part) -> Tensor:
        if where.axis is None:
            if whole.numel() < 2:
                raise Refused(f"the mean over one sample changes nothing (shape {list(whole.shape)})")
            return whole.mean().expand_as(old).clone()
        view = whole.movedim(where.axis, 1)
        if view.numel() == view.shape[1]:
            raise Refused(f"the mean over one sample changes nothing (shape {list(whole.shape)})")
        means = view.mean([k for k in range(view.ndim) if k != 1])
        means = means if where.channels is None else means[where.channels]
        return means.reshape(1, -1, *[1] * (old.ndim - 2)).expand_as(old).clone()

    return _edit(change, part)


def resample(values: Tensor | None = None, *, seed: int = 0, **part: Any) -> Edit:
    """Gives each sample the activations of another one, drawn at random: off its input, but on the data.

    Every forward in the block draws the same, and so do all sites and calls with the same seed and numbers of samples.

    Args:
        values: [M, ...] activations of other inputs at this site, to draw rows from with replacement. None draws
            within the batch, along one random cycle, so that no sample keeps its own.
        seed: of the draw.
        **part: the part to change.

    Raises, when it runs:
        ValueError: `values` do not have the site's shape after axis 0, or there is one sample and no `values`.
    """

    def change(old: Tensor, whole: Tensor, where: Part) -> Tensor:
        if not whole.ndim:
            raise Refused("a single number has no samples to draw from")
        generator = torch.Generator().manual_seed(seed)
        if values is not None:
            if values.shape[1:] != whole.shape[1:] or not len(values):
                raise Refused(
                    f"resample needs values [M, {', '.join(map(str, whole.shape[1:]))}] for a site of shape "
                    f"{list(whole.shape)}, got {list(values.shape)}"
                )
            rows = torch.randint(len(values), (len(whole),), generator=generator)
            drawn = values[rows.to(values.device)].to(whole)
        elif len(whole) < 2:
            raise Refused("one sample has no other one in its batch to draw from; give values")
        else:
            order = torch.randperm(len(whole), generator=generator)
            source = torch.empty_like(order)
            source[order] = order.roll(1)
            drawn = whole[source.to(whole.device)]
        return _chosen(drawn, where)

    return _edit(change, part)


def add(vector: Values, coefficient: float = 1.0, **part: Any) -> Edit:
    """Adds `coefficient` times `vector`, shaped as for `replace`."""
    return _edit(lambda old, whole, where: old + coefficient * _fit(vector, old, whole, where), part)


def clamp(low: Values | None = None, high: Values | None = None, **part: Any) -> Edit:
    """Raises what is below `low` to it, and lowers what is above `high`; each shaped as for `replace`."""
    if low is None and high is None:
        raise ValueError("clamp needs low, high or both")

    def change(old: Tensor, whole: Tensor, where: Part) -> Tensor:
        if low is not None:
            old = torch.maximum(old, _fit(low, old, whole, where))
        return old if high is None else torch.minimum(old, _fit(high, old, whole, where))

    return _edit(change, part)


def replace(values: Values, **part: Any) -> Edit:
    """Puts values there.

    Args:
        values: a number; or one per channel, [C] or as many as the part has channels; or the shape of the site, with
            or without axis 0 (the part is read from the same place in it); or the shape of the part,
            [samples, channels, positions], with or without axis 0.
        **part: the part to change.
    """

    def change(old: Tensor, whole: Tensor, where: Part) -> Tensor:
        given = _fit(values, old, whole, where).expand_as(old)
        return given.clone() if where.index is None else given  # a part is copied to its place

    return _edit(change, part)


def _edit(change: Callable[[Tensor, Tensor, Part], Tensor], part: dict[str, Any]) -> Edit:
    unknown = part.keys() - {"samples", "channels", "heads", "of", "positions", "channel_axis"}
    if unknown:
        raise ValueError(
            f"no such restriction: {', '.join(sorted(unknown))}; "
            "there are samples, channels, heads (with of), positions and channel_axis"
        )
    if (part.get("heads") is None) != (part.get("of") is None):
        raise ValueError("heads and of go together: heads=[1], of=8 is the second of eight heads")
    if part.get("heads") is not None and part.get("channels") is not None:
        raise ValueError("heads are blocks of channels: give heads or channels, not both")
    for name in ("samples", "channels", "heads", "positions"):
        chosen = part.get(name)
        if chosen is None:
            continue
        part = {**part, name: chosen.tolist() if hasattr(chosen, "tolist") else list(chosen)}
        if not part[name]:
            raise ValueError(f"{name} is empty: such an edit touches nothing")
    return Edit(change, **part)


def _channel_axis(tensor: Tensor, given: int | None) -> int | None:
    if given is None:
        return None if tensor.ndim < 2 else 1 if tensor.ndim >= 4 else tensor.ndim - 1
    if not -tensor.ndim <= given < tensor.ndim or given % tensor.ndim == 0:
        raise Refused(
            f"channel_axis={given} is no axis after the samples of a site of shape {list(tensor.shape)}"
        )
    return given % tensor.ndim


def _checked(chosen: Sequence[int], size: int, what: str, tensor: Tensor) -> list[int]:
    for index in chosen:
        if isinstance(index, bool) or index != int(index) or not -size <= index < size:
            raise Refused(
                f"{what}: {index!r} is not in 0..{size - 1}, the site has shape {list(tensor.shape)}"
            )
    found = [int(index) % size for index in chosen]
    if len(set(found)) < len(found):
        raise Refused(f"{what}: one is named twice in {list(chosen)}")
    return found


def _of_heads(edit: Edit, tensor: Tensor, axis: int | None) -> list[int]:
    size = 0 if axis is None else tensor.shape[axis]
    count = edit.of or 0
    if count < 1 or not size or size % count:
        raise Refused(
            f"{size} channels of a site of shape {list(tensor.shape)} do not make {count} equal heads"
        )
    width = size // count
    heads = _checked(edit.heads or [], count, "heads", tensor)
    return [channel for head in heads for channel in range(head * width, (head + 1) * width)]


def _places(positions: Sequence[Any], space: list[int], tensor: Tensor) -> list[tuple[int, ...]]:
    if not space:
        raise Refused(f"a site of shape {list(tensor.shape)} has no positions to choose from")
    found = []
    for position in positions:
        place = tuple(position) if isinstance(position, (tuple, list)) else (position,)
        if len(place) != len(space):
            raise Refused(
                f"positions: {position!r} should have {len(space)} numbers, the space axes are {space}"
            )
        found.append(
            tuple(_checked([k], size, "positions", tensor)[0] for k, size in zip(place, space, strict=True))
        )
    if len(set(found)) < len(found):
        raise Refused(f"positions: one is named twice in {list(positions)}")
    return found


def _chosen(values: Tensor, where: Part) -> Tensor:
    """The part of a tensor of the site's shape."""
    view = values if where.axis is None else values.movedim(where.axis, 1)
    return view if where.index is None else view[where.index]


def _fit(values: Values, old: Tensor, whole: Tensor, where: Part) -> Tensor:
    """Values in a shape that broadcasts to the part `old`."""
    if isinstance(values, Tensor):
        given = values.to(whole)
    else:  # at once in the site's type: by way of float32, 0.4 would not be the 0.4 of float64
        given = torch.as_tensor(values, dtype=whole.dtype, device=whole.device)
    shape, full = list(given.shape), list(whole.shape)
    if not shape:
        return given
    channels = 0 if where.axis is None else full[where.axis]
    if shape in (full, [1, *full[1:]]) or (shape == full[1:] and full[1:]):
        return _chosen(given.expand_as(whole), where)
    if len(shape) == 1 and where.axis is not None and shape[0] in (channels, old.shape[1]):
        if shape[0] == channels and where.channels is not None:
            given = given[where.channels]
        return given.reshape(1, -1, *[1] * (old.ndim - 2))
    if shape in (list(old.shape), [1, *old.shape[1:]], list(old.shape[1:])):
        return given
    part = (
        ""
        if where.index is None
        else f" and its chosen part {list(old.shape)} (samples, channels, positions)"
    )
    raise Refused(f"values of shape {shape} do not fit: the site has shape {full}{part}")
