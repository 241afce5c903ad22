"""Which numbers a training uses where nobody says."""

from __future__ import annotations

import pytest
import torch

from goalscope.training.precision import chosen_precision


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken_whatever_the_machine(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for has in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has)
        assert chosen_precision(asked) == asked


@pytest.mark.parametrize(
    ("avx", "amx", "wanted"),
    [(False, False, "float32"), (True, False, "bfloat16"), (False, True, "bfloat16")],
)
def test_a_processor_without_instructions_for_it_is_spared_bfloat16(
    avx: bool, amx: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert chosen_precision(None) == wanted


def test_torch_answers_whether_this_processor_has_it() -> None:
    """The two questions are not in torch's documentation: a version that drops them is met here."""
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool)
    assert isinstance(torch.cpu._is_amx_tile_supported(), bool)


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="--precision must be float32 or bfloat16, got 'int8'"):
        chosen_precision("int8")
