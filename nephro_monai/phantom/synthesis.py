"""Synthetic CT from tissue maps, a batch at a time: unlimited appearances and tumors from a few anatomies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from nephro_monai.constants import CYST
from nephro_monai.phantom.synthesis_acquisition import acquire_batch
from nephro_monai.phantom.synthesis_masses import add_cysts, add_masses, settle_own_tumors
from nephro_monai.phantom.synthesis_settings import SynthesisSettings
from nephro_monai.phantom.synthesis_tissues import draw_hu, draw_phases, render
from nephro_monai.phantom.synthesis_tumors import paint_tumors
from nephro_monai.phantom.tissues import LABEL_OF_TISSUE, PHASES, Phase, Tissue
from nephro_monai.phantom.tumors import TumorLook

__all__ = ["CTSynthesis", "SynthesizedPatches"]


@dataclass(frozen=True)
class SynthesizedPatches:
    """What `CTSynthesis.draw` made.

    Attributes:
        hu: (B, 1, X, Y, Z) float32.
        label: (B, 1, X, Y, Z) uint8, 0 background, 1 kidney, 2 tumor; 3 cyst where `cysts_apart` is set.
        tissues: (B, 1, X, Y, Z) uint8 with the tumors and cysts that were put in.
        phases: Contrast phase of each patch.
        looks: Appearance of each patch's tumors; None without.
    """

    hu: torch.Tensor
    label: torch.Tensor
    tissues: torch.Tensor
    phases: tuple[Phase, ...]
    looks: tuple[TumorLook | None, ...]


class CTSynthesis(nn.Module):
    """Draws CT patches around tissue maps: tumors and cysts, contrast phase, HU, texture, scanner.

    The rules and numbers are those of the whole-abdomen generator (`generate_case`), at a working spacing and on the
    device of the maps. The few numbers that decide about geometry come from torch's generator of the processor, noise
    from that of the device; `callbacks.ReproducibleSteps` seeds both for every step. So one seed gives the same label
    maps everywhere and the same HU on one kind of device.

    Args:
        settings: Bounds of what is drawn.
    """

    label_of_tissue: torch.Tensor

    def __init__(self, settings: SynthesisSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or SynthesisSettings()
        table = torch.from_numpy(LABEL_OF_TISSUE.copy())
        if self.settings.cysts_apart:
            table[Tissue.KIDNEY_CYST] = CYST
        self.register_buffer("label_of_tissue", table, persistent=False)

    def forward(self, tissues: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """HU (B, 1, X, Y, Z) float32 and labels (B, 1, X, Y, Z) uint8; see `draw`."""
        made = self.draw(tissues)
        return made.hu, made.label

    @torch.no_grad()
    def draw(self, tissues: torch.Tensor) -> SynthesizedPatches:
        """Draws one CT for each tissue map.

        Args:
            tissues: (B, 1, X, Y, Z) uint8 of `Tissue` ids, R-A-S, at the settings' spacing. Not changed.

        Raises:
            ValueError: If it is not of that shape and type.
        """
        if tissues.ndim != 5 or tissues.shape[1] != 1 or tissues.dtype != torch.uint8:
            raise ValueError(
                f"CTSynthesis takes uint8 tissue maps (B, 1, X, Y, Z), got {tissues.dtype} {tuple(tissues.shape)}; "
                "for KiTS19's labels 0/1/2 use surroundings_of_labels first."
            )
        spacing, masses, parameters = self.settings.spacing_mm, self.settings.masses, self.settings.parameters
        with torch.autocast(tissues.device.type, enabled=False):
            maps = tissues[:, 0].clone()
            settle_own_tumors(maps, spacing, masses)
            add_cysts(maps, spacing, masses)
            depth = add_masses(maps, spacing, masses)
            phases = draw_phases(len(maps), parameters)
            hu = draw_hu(phases, parameters)
            image = render(maps, hu, phases, spacing, parameters)
            looks = paint_tumors(image, maps, depth, hu, phases, self.settings)
            image = acquire_batch(image, spacing, self.settings.acquisition)
        label = self.label_of_tissue.to(maps.device)[maps.int()]
        names = tuple(PHASES[int(phase)] for phase in phases)
        return SynthesizedPatches(image[:, None], label[:, None], maps[:, None], names, tuple(looks))
