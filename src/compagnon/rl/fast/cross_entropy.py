"""The masked cross-entropy as one node of autograd: DAgger's loss, in one loop a row.

The same numbers as `compagnon.rl.dagger.masked_cross_entropy`, which says what is computed.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.rl.fast import masked


class FusedCrossEntropy(torch.autograd.Function):
    """The weighted sum of the losses of logits (B, A), and the losses (B,)."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        mask: NDArray[np.bool_],
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        weights: NDArray[np.float32],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `masked.cross_entropy_gradient`, which writes the gradient as well."""
        given = logits.detach().cpu().numpy()
        gradient, losses = np.empty_like(given), np.empty(len(labels), np.float32)
        masked.cross_entropy_gradient(given, mask, rows, labels, weights, gradient, losses)
        ctx.gradient = torch.from_numpy(gradient).to(logits.device)
        found = torch.from_numpy(losses).to(logits.device)
        ctx.mark_non_differentiable(found)
        return (found * torch.from_numpy(weights).to(logits.device)).sum(), found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradient that the forward pass wrote, times that of the sum."""
        return ctx.gradient * gradients[0], None, None, None, None


def fused_cross_entropy(
    logits: torch.Tensor,
    mask: NDArray[np.bool_],
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `masked_cross_entropy`: the weighted sum, and each row's loss (B,)."""
    return FusedCrossEntropy.apply(logits, mask, rows, labels, weights)  # type: ignore[no-any-return,no-untyped-call]
