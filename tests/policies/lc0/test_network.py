"""Leela-format networks of every kind that lc0's reference does not cover: small files, a functional forward beside."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from goalscope.activations import capture, editing, replace, sites
from goalscope.activations.recompute.from_site import recompute_from
from goalscope.policies import checkpoint
from goalscope.policies.lc0 import Lc0, evaluate
from goalscope.policies.lc0.convert import load_lc0
from goalscope.policies.lc0.moves import NAMES
from goalscope.worlds.chess.state import from_boards

HERE = Path(__file__).parent
WDL, SCALAR = 2, 1


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


writer = _module("lc0_writer")


def formats(network: int, policy: int, value: int, moves_left: int = 0, mish: int = 0, **extra: int) -> list:
    fields = [(1, extra.get("input", 1)), (2, value), (3, network), (4, policy), (5, value), (6, moves_left)]
    return [*fields, (7, mish), *((n, v) for n, v in ((8, extra.get("smolgen")), (9, extra.get("ffn"))) if v)]


def read(data: bytes) -> tuple[Lc0, dict]:
    return load_lc0(data, Path("net.pb.gz"))


def planes(count: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(5).integers(0, 2, (count, 112, 8, 8)).astype(np.float32))


class Plain:
    """The forward once more, from the numbers that were written, without modules."""

    def __init__(self, numbers: dict[str, np.ndarray], act=torch.relu):
        self.w = {name: torch.from_numpy(array) for name, array in numbers.items()}
        self.act = act

    def convolution(self, x: Tensor, name: str) -> Tensor:
        weight, w = self.w[f"{name}.w"], self.w
        out = F.conv2d(x, weight, w.get(f"{name}.b"), padding=weight.shape[-1] // 2)
        if f"{name}.mean" in w:
            out = F.batch_norm(
                out, w[f"{name}.mean"], w[f"{name}.variance"], w.get(f"{name}.gamma"), w.get(f"{name}.beta")
            )
        return out

    def dense(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.w[f"{name}.w"], self.w[f"{name}.b"])

    def norm(self, x: Tensor, name: str, epsilon: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.g"], self.w[f"{name}.beta"], epsilon)

    def body(self, x: Tensor, blocks: int = 2) -> Tensor:
        x = self.act(self.convolution(x, "input"))
        for i in range(blocks):
            y = self.convolution(self.act(self.convolution(x, f"{i}.conv1")), f"{i}.conv2")
            if f"{i}.se1.w" in self.w:
                both = self.dense(self.act(self.dense(y.mean((2, 3)), f"{i}.se1")), f"{i}.se2")
                scale, shift = both[:, :8, None, None], both[:, 8:, None, None]
                y = torch.sigmoid(scale) * y + shift
            x = self.act(x + y)
        return x

    def scalars(self, x: Tensor, conv: str, dense: str) -> Tensor:
        hidden = self.act(self.convolution(x, conv)).flatten(1)
        return self.dense(self.act(self.dense(hidden, f"ip1_{dense}")), f"ip2_{dense}")

    def encoder(
        self, x: Tensor, name: str, heads: int, alpha: float, ffn, smolgen: Tensor | None = None
    ) -> Tensor:
        q, k, v = (self.dense(x, f"{name}.{part}").unflatten(2, (heads, -1)) for part in "qkv")
        scores = torch.einsum("nihd,njhd->nhij", q, k) / q.shape[-1] ** 0.5
        scores = scores if smolgen is None else scores + smolgen
        mixed = torch.einsum("nhij,njhd->nihd", scores.softmax(3), v).flatten(2)
        x = self.norm(x + alpha * self.dense(mixed, f"{name}.out"), f"{name}.ln1", 1e-6)
        deep = self.dense(ffn(self.dense(x, f"{name}.dense1")), f"{name}.dense2")
        return self.norm(x + alpha * deep, f"{name}.ln2", 1e-6)

    def policy(self, tokens: Tensor, name: str = "pol") -> Tensor:
        q, k = self.dense(tokens, f"{name}.ip2"), self.dense(tokens, f"{name}.ip3")
        return by_name(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, k @ self.w[f"{name}.ip4"].T)


def by_name(plain: Tensor, offsets: Tensor) -> Tensor:
    """Logits in the order of the names, one by one, from from-to logits [N, 64, 64] and keys' offsets [N, 64, 4]."""
    columns = []
    for name in NAMES:
        start, target = ("abcdefgh".index(name[i]) + 8 * int(name[i + 1]) - 8 for i in (0, 2))
        logit = plain[:, start, target]
        if len(name) == 5:
            logit = logit + offsets[:, target, "qrb".index(name[4])] + offsets[:, target, 3]
        columns.append(logit)
    return torch.stack(columns, 1)


def close(a: Tensor | None, b: Tensor) -> bool:
    assert a is not None and a.shape == b.shape
    return float((a - b).abs().max()) < 2e-5 * float(b.abs().max()) and float(b.std()) > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("normed", ["no", "whole", "bare"])
@pytest.mark.parametrize("mish", [0, 1])
@pytest.mark.parametrize("squeeze", [None, 4])
def test_convolution_body_and_batch_norms(normed: str, mish: int, squeeze: int | None):
    w = writer.Writer(1)
    entries = writer.convolutional(w, normed=normed, squeeze=squeeze, moves_left=True)
    module, config = read(writer.file(entries, formats(4 if squeeze else 3, 2, WDL, 1, mish)))
    plain = Plain(w.numbers, F.mish if mish else torch.relu)
    x = planes()
    features, output = plain.body(x), module(x)
    assert close(module.body(x), features)
    kinds = plain.convolution(plain.act(plain.convolution(features, "policy1")), "policy").flatten(1)
    assert close(output.logits[:, NAMES.index("e2e4")], kinds[:, 64 * 1 + 12])  # two squares north of e2
    assert close(output.logits[:, NAMES.index("g1f3")], kinds[:, 64 * 63 + 6])  # the last knight move
    assert close(output.logits[:, NAMES.index("b7a8r")], kinds[:, 64 * 64 + 49])
    assert close(output.wdl, plain.scalars(features, "value", "val").softmax(1))
    assert close(output.moves_left, torch.relu(plain.scalars(features, "moves", "mov"))[:, 0])
    assert config["architecture"].get("squeeze") == squeeze


@torch.no_grad()
def test_classical_policy_and_scalar_value_of_old_files():
    w = writer.Writer(2)
    entries = writer.convolutional(w, policy="classical", outputs=1, normed="whole")
    x = planes()
    outputs = []
    # What files with head formats say, older ones leave unsaid.
    for form in (formats(4, 1, SCALAR), [(1, 1), (3, 2)], formats(2, 0, 0)):
        module, _ = read(writer.file(entries, form))
        outputs.append(module(x))
    plain = Plain(w.numbers)
    features = plain.body(x)
    logits = plain.dense(torch.relu(plain.convolution(features, "policy")).flatten(1), "ip_pol")
    value = torch.tanh(plain.scalars(features, "value", "val"))[:, 0]
    for output in outputs:
        assert close(output.logits, logits) and close(output.value, value)
        assert output.wdl is None and output.moves_left is None


@torch.no_grad()
def test_the_oldest_files_have_no_network_format():
    w = writer.Writer(2)
    entries = writer.convolutional(w, policy="classical", outputs=1, squeeze=None)
    module, config = read(writer.file(entries, None))
    assert (config["architecture"]["policy"], config["architecture"]["value"]) == ("classical", "scalar")
    assert close(module.body(planes()), Plain(w.numbers).body(planes()))


@torch.no_grad()
@pytest.mark.parametrize("encoders", [0, 2])
def test_attention_policy_on_a_convolution_body(encoders: int):
    w = writer.Writer(3)
    entries = writer.convolutional(w, policy="attention", policy_encoders=encoders)
    module, _ = read(writer.file(entries, formats(4, 3, WDL)))
    plain, x = Plain(w.numbers), planes()
    tokens = F.selu(plain.dense(plain.body(x).flatten(2).transpose(1, 2), "ip_pol"))
    for i in range(encoders):
        tokens = plain.encoder(tokens, f"pol.enc{i}", 2, 1.0, F.selu)
    assert close(module(x).logits, plain.policy(tokens))


@torch.no_grad()
def test_attention_body_with_policy_encoder_in_an_old_file():
    """Format 4 with encoders: smolgen is then swish, the dense layers squared relu."""
    w = writer.Writer(4)
    module, config = read(writer.file(writer.attentional(w), formats(4, 3, WDL, mish=1)))
    plain, x = Plain(w.numbers, F.mish), planes()
    queens = torch.zeros(64, 64)
    for a in range(64):
        for b in range(64):
            rank, file = abs(a // 8 - b // 8), abs(a % 8 - b % 8)
            reaches = a != b and (rank == file or 0 in (rank, file) or {rank, file} == {1, 2})
            queens[a, b] = -1.0 if a == b else float(reaches)
    tokens = torch.cat((x.flatten(2).transpose(1, 2), queens.expand(len(x), -1, -1)), 2)
    tokens = F.mish(plain.dense(tokens, "ip_emb")) * plain.w["mult"].T + plain.w["add"].T
    for i in range(2):
        name = f"enc{i}.s"
        squeezed = F.linear(tokens, plain.w[f"{name}.compress"]).flatten(1)
        hidden = plain.norm(F.silu(plain.dense(squeezed, f"{name}.dense1")), f"{name}.ln1", 1e-3)
        generated = plain.norm(F.silu(plain.dense(hidden, f"{name}.dense2")), f"{name}.ln2", 1e-3)
        smolgen = F.linear(generated.unflatten(1, (2, 3)), plain.w["smolgen_w"]).unflatten(2, (64, 64))
        squared = lambda t: torch.relu(t) ** 2  # noqa: E731
        tokens = plain.encoder(tokens, f"enc{i}", 2, 4**-0.25, squared, smolgen)
    output = module(x)
    assert close(module.body(x), tokens)
    policy = plain.encoder(F.mish(plain.dense(tokens, "ip_pol")), "pol.enc0", 2, 1.0, squared)
    assert close(output.logits, plain.policy(policy))
    value = F.mish(plain.dense(F.mish(plain.dense(tokens, "ip_val")).flatten(1), "ip1_val"))
    assert close(output.wdl, plain.dense(value, "ip2_val").softmax(1))
    assert config["architecture"]["ffn_activation"] == "relu_2"


@torch.no_grad()
@pytest.mark.parametrize("network", [7, 134])
def test_several_heads(network: int):
    w = writer.Writer(5)
    entries = writer.attentional(w, several=True)
    module, config = read(writer.file(entries, formats(network, 3, WDL, smolgen=7, ffn=8)))
    assert config["architecture"]["policy_names"] == ["vanilla", "soft"]
    assert config["architecture"]["value_names"] == ["winner", "q"]
    assert config["unread"] == [
        "weights.value_heads.winner.ip_val_err", "weights.value_heads.q.ip_val_err",
    ]  # fmt: skip
    plain, x = Plain(w.numbers), planes()
    tokens = module.body(x)
    embedded = torch.relu(plain.dense(tokens, "pol.emb"))
    for policy, value in (("vanilla", "winner"), ("soft", "q")):
        output = module.choose(policy, value)(x)
        assert close(output.logits, plain.policy(embedded, policy))
        hidden = torch.relu(
            plain.dense(torch.relu(plain.dense(tokens, f"{value}.emb")).flatten(1), f"{value}.1")
        )
        assert close(output.wdl, plain.dense(hidden, f"{value}.2").softmax(1))


def test_format_6_with_both_kinds_of_heads_is_read_as_lc0_reads_it():
    """As format 7 with a dense embedding; this file has the map's layers alone, and what it lacks is named."""
    w = writer.Writer(5)
    several = writer.attentional(w, several=True)
    with pytest.raises(ValueError, match="embedding_sizes would be 0"):
        read(writer.file(several, formats(6, 3, WDL, smolgen=7, ffn=8)))
    one_head = writer.attentional(writer.Writer(5))
    _, config = read(writer.file(one_head, formats(6, 3, WDL, smolgen=7, ffn=8)))
    assert config["architecture"]["embedding"] == "map" and "policy_names" not in config["architecture"]


def small(kind: str) -> bytes:
    if kind == "convolution":
        return writer.file(writer.convolutional(writer.Writer(6), moves_left=True), formats(4, 2, WDL, 1))
    return writer.file(writer.attentional(writer.Writer(6)), formats(6, 3, WDL, smolgen=7, ffn=8))


@pytest.mark.parametrize("kind", ["convolution", "attention"])
def test_as_a_policy(kind: str, tmp_path: Path):
    (tmp_path / "net.pb.gz").write_bytes(small(kind))
    policy = checkpoint.load(tmp_path / "net.pb.gz")
    assert policy.name == "net" and not policy.module.training
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    control = checkpoint.untrained(policy.config, seed=3)
    checkpoint.load(tmp_path / "net.pb.gz")
    assert torch.equal(torch.rand(2), expected)
    shapes = [{name: t.shape for name, t in p.module.state_dict().items()} for p in (policy, control)]
    assert shapes[0] == shapes[1]
    x = planes()
    assert not torch.allclose(policy.module(x).logits, control.module(x).logits, atol=1e-2)
    checkpoint.save(tmp_path / "ours", policy.module, policy.config, "# net\n")
    again = checkpoint.load(tmp_path / "ours")
    assert torch.equal(again.module(x).logits, policy.module(x).logits)


def silence(part: torch.nn.Module, given: object, out: Tensor) -> Tensor:
    return torch.zeros_like(out)


@pytest.mark.parametrize("kind", ["convolution", "attention"])
def test_every_step_is_a_module_and_a_site_that_counts(kind: str):
    """Replacing what any module gives with zeros changes the output; replacing it with itself does not."""
    module, _ = read(small(kind))
    x = planes(1)
    reached: list[str] = []
    for name, part in module.named_modules():
        part.register_forward_hook(lambda part, given, out, name=name: reached.append(name))
    with torch.no_grad():
        before = module(x)
        named = {name for name, _ in module.named_modules()}
        holders = {n for n in named if isinstance(module.get_submodule(n), torch.nn.ModuleDict)}
        assert set(reached) == named - holders
        for name in sorted(set(reached) - {""}):
            part = module.get_submodule(name)
            hook = part.register_forward_hook(silence)
            after = module(x)
            hook.remove()
            same = torch.equal(after.logits, before.logits) and torch.equal(after.value, before.value)
            same &= after.moves_left is None or torch.equal(after.moves_left, before.moves_left)
            assert not same, name
        assert torch.equal(module(x).logits, before.logits)


def test_attention_patterns_and_heads_are_where_the_names_say():
    module, _ = read(small("attention"))
    seen = {}
    attention = module.get_submodule("body.encoders.1.attention")
    for name in ("pattern", "scores", "heads", "smolgen"):
        part = attention.get_submodule(name)
        part.register_forward_hook(lambda part, given, out, name=name: seen.__setitem__(name, out))
    module(planes())
    assert seen["pattern"].shape == seen["scores"].shape == seen["smolgen"].shape == (3, 2, 64, 64)
    assert torch.allclose(seen["pattern"].sum(3), torch.ones(3, 2, 64))
    assert seen["heads"].shape == (3, 64, 8)


def test_gradients_reach_the_planes():
    for kind in ("convolution", "attention"):
        x = planes().requires_grad_()
        read(small(kind))[0](x).logits[0, 0].backward()
        assert x.grad is not None and x.grad[0].abs().sum() > 0 and not x.grad[1].any()


def test_evaluate_in_pieces():
    chess = pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
    module, _ = read(small("convolution"))
    boards = [chess.Board() for _ in range(5)]
    for board, move in zip(boards, ("e2e4", "d2d4", "g1f3", "a2a3", "b2b4"), strict=True):
        board.push_uci(move)
    state = from_boards(boards)
    whole, pieces = evaluate(module, state, 5), evaluate(module, state, 2)
    for a, b in zip(whole, pieces, strict=True):
        assert a is not None and b is not None
        assert torch.allclose(a, b, atol=1e-4) and len(a) == 5
    assert len({tuple(row.tolist()) for row in whole.logits}) == 5
    assert evaluate(module, from_boards([])).logits.shape == (0, 1858)
    with pytest.raises(ValueError, match="batch must be at least 1"):
        evaluate(module, state, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"body": "transformer"}, "body must be one of convolution, attention, got 'transformer'"),
        ({"body": "attention"}, "an attention body has an attention policy"),
        ({"body": "attention", "policy": "attention"}, "needs heads, inner and hidden"),
        ({"policy": "attention"}, "needs policy_queries"),
        ({"activation": "gelu"}, "no activation 'gelu'; there are relu, mish"),
        ({"input_format": 6}, "6 is not a valid InputFormat"),
        ({"policy_names": ["a.b"]}, "head names"),
        ({"policy_names": "vanilla"}, "whole number"),
    ],
)
def test_configs_that_describe_no_network(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        checkpoint.untrained({"architecture": {"name": "lc0", **arguments}}, 0)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["convolution", "attention"])
def test_hooked_is_bit_for_bit_the_bare_network(kind: str):
    """Every site captured at once, each put back where it was, and a run rest from it, change no bit."""
    module, _ = read(small(kind))
    x = planes()
    bare = module(x)
    found = [name for name in sites(module, x) if name]
    kept = capture(module, x, found)
    for name in found:
        with editing(module, {name: replace(kept[name])}):
            assert torch.equal(module(x).logits, bare.logits), name
    for name in [n for n in found if "@" not in n and ":" not in n][::7]:
        rest = recompute_from(module, name, x)
        with editing(module, {name: replace(kept[name] / 2)}):
            edited = module(x)
        assert rest.traced and torch.equal(rest(kept[name] / 2).logits, edited.logits), name
