"""The IMPALA network as one plain function of a state dict, the oracle of the tests of the module."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor


def plain_forward(state_dict: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, A] and value [N] of pixels [N, 3, 64, 64] in [0, 1]."""

    def conv(name, x):
        return F.conv2d(x, state_dict[f"{name}.weight"], state_dict[f"{name}.bias"], padding=1)

    for block in ("embedder.block1", "embedder.block2", "embedder.block3"):
        x = F.max_pool2d(conv(f"{block}.conv", x), 3, stride=2, padding=1)
        for residual in ("res1", "res2"):
            inner = conv(f"{block}.{residual}.conv1", F.relu(x))
            x = conv(f"{block}.{residual}.conv2", F.relu(inner)) + x
    x = F.relu(x).flatten(1)
    x = F.relu(F.linear(x, state_dict["embedder.fc.weight"], state_dict["embedder.fc.bias"]))
    logits = F.linear(x, state_dict["fc_policy.weight"], state_dict["fc_policy.bias"])
    return logits, F.linear(x, state_dict["fc_value.weight"], state_dict["fc_value.bias"])[:, 0]
