"""The compact policy: its sites, its sizes, and what it may and may not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from goalscope.policies.compact import Compact
from goalscope.worlds.maze import Maze, parse_maze, place_cheese, place_mouse, toggle_wall


def policy(size: int = 5, **arguments: int) -> Compact:
    torch.manual_seed(0)
    module = Compact(size, **{"channels": 8, "blocks": 2, **arguments}).eval()
    # The heads begin near zero; larger weights make every dependence show.
    nn.init.normal_(module.policy_head.weight)
    return module


def forward(module: Compact, observations: np.ndarray) -> torch.Tensor:
    """Logits and value side by side."""
    with torch.inference_mode():
        out = module(module.encode(observations))
    return torch.cat([out.logits, out.value[:, None]], 1)


@pytest.mark.parametrize("size", [3, 5, 7, 9, 13, 25, 31])
def test_any_odd_size(size):
    world = Maze(size, None)
    module = policy(size)
    x = module.encode(world.observe(world.generate(range(4))))
    assert x.dtype == torch.float32 and x.shape == (4, 3, size, size)
    out = module(x)
    assert out.logits.shape == (4, 5) and out.value.shape == (4,)
    assert torch.isfinite(out.logits).all() and torch.isfinite(out.value).all()
    assert policy(size, actions=15)(x).logits.shape == (4, 15)


def test_every_relu_is_a_named_site_and_every_block_the_residual_stream_after_it():
    module = policy()
    relus = [name for name, part in module.named_modules() if isinstance(part, nn.ReLU)]
    assert relus == [
        "blocks.0.relu1",
        "blocks.0.relu2",
        "blocks.1.relu1",
        "blocks.1.relu2",
        "relu",
        "hidden_relu",
    ]
    seen: dict[str, torch.Tensor] = {}
    names = [*relus, "stem", "blocks.0", "blocks.1", "blocks.0.conv2", "blocks.1.conv2"]

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            seen[name] = output

        return hook

    handles = [module.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    forward(module, Maze(5).observe(Maze(5).generate(range(6))))
    for handle in handles:
        handle.remove()
    # Each ran once under its own name; none was bypassed or shared.
    assert set(seen) == set(names)
    for name in relus:
        assert (seen[name] >= 0).all() and (seen[name] > 0).any(), name
    assert torch.equal(seen["blocks.0"], seen["stem"] + seen["blocks.0.conv2"])
    assert torch.equal(seen["blocks.1"], seen["blocks.0"] + seen["blocks.1.conv2"])
    assert torch.equal(seen["relu"], seen["blocks.1"].relu())


def test_the_policy_depends_on_each_plane():
    """Negative control of what follows: mouse, cheese and walls all change the outputs."""
    state = parse_maze("....C\n.###.\n...#.\n.#...\nM....")
    module = policy()
    base = forward(module, Maze(5).observe(state))
    for other in (
        place_mouse(state, np.array([4, 2])),
        place_cheese(state, np.array([2, 0])),
        toggle_wall(state, np.array([3, 1])),
    ):
        assert (forward(module, Maze(5).observe(other)) - base).abs().max() > 1e-3


def test_permuting_a_batch_permutes_the_outputs():
    world = Maze(9, None)
    observations = world.observe(world.generate(range(16)))
    module = policy(9)
    out = forward(module, observations)
    order = np.random.default_rng(0).permutation(16)
    assert torch.allclose(forward(module, observations[order]), out[order], atol=1e-5)
    alone = torch.cat([forward(module, observations[i : i + 1]) for i in range(16)])
    assert torch.allclose(alone, out, atol=1e-5)
    assert not torch.allclose(out[order], out, atol=1e-2)


def test_the_head_reads_the_cell_that_the_mouse_is_in():
    """Its part of the summary is the features of the mouse's 2 x 2 squares, and zero without a mouse."""
    module = policy(7)
    seen = []
    module.hidden.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    features = []
    module.relu.register_forward_hook(lambda _, x, y: features.append(y))
    world = Maze(7)
    maze = parse_maze("\n".join(["." * 7] * 6 + ["......M"]))
    for square in ((0, 0), (3, 4), (5, 1), (6, 6)):
        forward(module, world.observe(place_mouse(maze, np.array(square))))
        at = seen[-1][0, -8:]
        assert torch.allclose(at, features[-1][0, :, square[0] // 2, square[1] // 2])
    empty = world.observe(maze)
    empty[:, 1] = 0
    forward(module, empty)
    assert not seen[-1][0, -8:].any()


@pytest.mark.parametrize("shape", [(2, 3, 7, 7), (2, 1, 5, 5), (3, 5, 5), (2, 3, 5, 7)])
def test_observations_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"takes observations \[N, 3, 5, 5\], got \["):
        policy().encode(np.zeros(shape, np.uint8))


def test_it_starts_near_uniform():
    torch.manual_seed(1)
    module = Compact(13)
    world = Maze(13)
    with torch.inference_mode():
        out = module(module.encode(world.observe(world.generate(range(50)))))
    assert (out.logits.softmax(1) - 0.2).abs().max() < 0.05


def test_the_packaged_recipe_fits_half_a_megabyte():
    assert len(save(Compact(13, 32, 5).state_dict())) < 500_000


def test_channels_last_or_not_is_the_same():
    world = Maze(5)
    module = policy()
    x = module.encode(world.observe(world.generate(range(4))))
    with torch.inference_mode():
        assert torch.allclose(module(x).logits, module(x.contiguous()).logits, atol=1e-5)
