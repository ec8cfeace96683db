"""Synthetic CT from tissue maps, a batch at a time: unlimited appearances and tumors from a few anatomies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from nephro_monai.constants import CYST
from nephro_monai.phantom.synthesis_acquisition import acquire_batch
from nephro_monai.phantom.synthesis_masses import (
    TUMOR_TISSUES,
    add_cysts,
    add_masses,
    is_tissue,
    settle_own_tumors,
)
from nephro_monai.phantom.synthesis_settings import SynthesisSettings
from nephro_monai.phantom.synthesis_tissues import draw_hu, draw_phases, render
from nephro_monai.phantom.synthesis_tumors import paint_tumors
from nephro_monai.phantom.tissues import LABEL_OF_TISSUE, PHASES, Phase, Tissue
from nephro_monai.phantom.tumors import TumorLook

__all__ = ["CTSynthesis", "SynthesizedPatches"]

_TRIES = 20


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

    @property
    def subtypes(self) -> tuple[str, ...]:
        """Subtype of each patch's tumors, "" without."""
        return tuple(look.subtype if look else "" for look in self.looks)


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
            ValueError: If it is not of that shape and type, or has no tumor in spite of `need_tumor`.
        """
        if tissues.ndim != 5 or tissues.shape[1] != 1 or tissues.dtype != torch.uint8:
            raise ValueError(
                f"CTSynthesis takes uint8 tissue maps (B, 1, X, Y, Z), got {tissues.dtype} {tuple(tissues.shape)}; "
                "for KiTS19's labels 0/1/2 use surroundings_of_labels first."
            )
        spacing, parameters = self.settings.spacing_mm, self.settings.parameters
        with torch.autocast(tissues.device.type, enabled=False):
            maps, depth = self._with_masses(tissues[:, 0])
            phases = draw_phases(len(maps), parameters)
            hu = draw_hu(phases, parameters)
            image = render(maps, hu, phases, spacing, parameters)
            looks = paint_tumors(image, maps, depth, hu, phases, self.settings)
            image = acquire_batch(image, spacing, self.settings.acquisition)
        label = self.label_of_tissue.to(maps.device)[maps.int()]
        names = tuple(PHASES[int(phase)] for phase in phases)
        return SynthesizedPatches(image[:, None], label[:, None], maps[:, None], names, tuple(looks))

    def _with_masses(self, tissues: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (B, X, Y, Z) with cysts and masses, and the masses' depth; drawn anew where `need_tumor` wants one."""
        maps = tissues.clone()
        depth = self._put_masses(maps)
        if not self.settings.need_tumor:
            return maps, depth
        for _ in range(_TRIES):
            left = ~is_tissue(maps, TUMOR_TISSUES).flatten(1).any(dim=1)
            if not left.any():
                return maps, depth
            some = tissues[left].clone()
            depth[left] = self._put_masses(some)
            maps[left] = some
        raise ValueError(
            f"A map has no tumor after {_TRIES} draws; give maps with a kidney, raise masses.mass_share (now "
            f"{self.settings.masses.mass_share}), or drop need_tumor."
        )

    def _put_masses(self, maps: torch.Tensor) -> torch.Tensor:
        spacing, masses = self.settings.spacing_mm, self.settings.masses
        settle_own_tumors(maps, spacing, masses)
        add_cysts(maps, spacing, masses)
        return add_masses(maps, spacing, masses)
