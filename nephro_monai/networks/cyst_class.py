"""Networks with a class of their own for simple cysts, which KiTS19's labels count to the kidney."""

from __future__ import annotations

import torch

from nephro_monai.constants import CYST, KIDNEY

__all__ = ["cysts_as_kidney", "kidney_with_cysts"]


def kidney_with_cysts(probabilities: torch.Tensor) -> torch.Tensor:
    """Probabilities of background, kidney and tumor, the kidney's with those of its cysts.

    A dark ball in a kidney is a cyst or a tumor. A network that is taught only "kidney" and "tumor" must call the one
    like the parenchyma around it, and may call small tumors so too; one with a class for cysts can learn to find both
    and to tell them apart.

    Args:
        probabilities: (classes, ...) of background, kidney, tumor and cyst; fewer classes stay as they are.
    """
    if len(probabilities) <= CYST:
        return probabilities
    merged = probabilities[:CYST].clone()
    merged[KIDNEY] += probabilities[CYST]
    return merged


def cysts_as_kidney(label: torch.Tensor) -> torch.Tensor:
    """Label maps in which cysts are kidney, as in KiTS19."""
    return label.masked_fill(label == CYST, KIDNEY)
