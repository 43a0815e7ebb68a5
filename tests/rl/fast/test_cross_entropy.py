"""DAgger's fused loss is its plain one, and so is its gradient."""

import numpy as np
import pytest
import torch

from compagnon.rl.dagger import masked_cross_entropy
from compagnon.rl.fast.cross_entropy import fused_cross_entropy


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("rows", [7, 300])  # on one thread, and on all of them
def test_losses_and_gradients_are_those_of_autograd(rows, share):
    rng = np.random.default_rng(0)
    mask = rng.random((500, 40)) < share
    chosen = rng.integers(500, size=rows)
    labels = rng.integers(40, size=rows)
    mask[chosen, labels] = True
    weights = rng.random(rows).astype(np.float32)
    given = torch.from_numpy(3 * rng.normal(size=(rows, 40)).astype(np.float32))
    found = []
    for function in (fused_cross_entropy, masked_cross_entropy):
        logits = given.clone().requires_grad_()
        loss, losses = function(logits, mask, chosen, labels, weights)
        (2 * loss).backward()
        found.append((loss.item(), losses.numpy(), logits.grad.numpy()))
    (loss, losses, gradient), (wanted_loss, wanted_losses, wanted) = found
    assert loss == pytest.approx(wanted_loss, rel=1e-5)
    np.testing.assert_allclose(losses, wanted_losses, rtol=1e-5, atol=1e-5)
    assert np.abs(gradient - wanted).max() <= 1e-6 * np.linalg.norm(wanted)
    assert np.abs(1.001 * gradient - wanted).max() > 1e-6 * np.linalg.norm(wanted)
