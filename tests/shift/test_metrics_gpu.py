"""The same numbers on an accelerator."""

import pytest
import torch

from aftertune.shift.metrics import position_metrics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("common", [None, torch.arange(5, 31_900)])
def test_a_gpu_gives_what_the_cpu_gives(common):
    torch.manual_seed(0)
    base = torch.randn(70, 32_000) * 4
    tuned = base + torch.randn(70, 32_000)
    base[3, 100] = tuned[3, 100] = -torch.inf
    tokens = torch.randint(0, 32_000, (70,))
    expected = position_metrics(base, tuned, tokens, common)
    found = position_metrics(base.cuda(), tuned.cuda(), tokens.cuda(), common)
    for name, values in expected.items():
        got = found[name].cpu()
        if values.is_floating_point():
            assert torch.allclose(got, values, rtol=1e-6, atol=1e-5, equal_nan=True), name
        else:
            assert torch.equal(got, values), name
    same = position_metrics(base.cuda(), base.cuda(), tokens.cuda(), common)
    assert not same["kl_tuned_base_nats"].any()
    assert not same["js_nats"].any()
