"""Random variants of patches of a scan in HU with their label maps, a batch at a time on the device of the batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from nephro_monai.geometry import window_to_unit

__all__ = ["VolumeAppearance", "VolumeAugmentation", "VolumeDeformation"]


@dataclass(frozen=True)
class VolumeDeformation:
    """How far patches are deformed.

    Attributes:
        rotation_degrees: Largest rotation about the x, y and z axis.
        shear: Largest shear of each axis along each other one.
        scale: Largest relative change of size along each axis; half of it is common to all axes.
        shift_voxels: Largest shift along x, y, z.
        mirror: Exchange left and right (the x axis) in half of the patches.
        flat_share: Of the patches, 0..1, that become one of their slices, repeated along z: what scans of few slices,
            filled up to the network's window, look like.
    """

    rotation_degrees: tuple[float, float, float] = (6.0, 6.0, 15.0)
    shear: float = 0.05
    scale: float = 0.2
    shift_voxels: tuple[float, float, float] = (8.0, 8.0, 4.0)
    mirror: bool = True
    flat_share: float = 0.0


@dataclass(frozen=True)
class VolumeAppearance:
    """How far HU are changed.

    Attributes:
        share: Of the patches that each of the following changes, 0..1.
        blur_voxels: Smallest and largest sigma of a Gaussian in plane; along z it is half as wide.
        noise_hu: Smallest and largest standard deviation of added noise, drawn log-uniformly; white in half of the
            patches, correlated over three voxels in the others.
        gain: Largest relative change of all HU.
        offset_hu: Largest offset.
    """

    share: float = 0.3
    blur_voxels: tuple[float, float] = (0.3, 0.9)
    noise_hu: tuple[float, float] = (2.0, 30.0)
    gain: float = 0.08
    offset_hu: float = 12.0


class VolumeAugmentation(nn.Module):
    """Rotation, shear, scale, shift and mirror in one interpolation; then blur, noise, gain, offset and the window.

    Draws from torch's global generators, which `callbacks.ReproducibleSteps` seeds for every step.

    Args:
        size: X, Y, Z of the result, at the spacing of the input.
        window_hu: Scaled to -1..1 at the end; what is outside is clipped.
        deformation: See `VolumeDeformation`.
        appearance: See `VolumeAppearance`.
    """

    def __init__(
        self,
        size: tuple[int, int, int],
        window_hu: tuple[float, float],
        deformation: VolumeDeformation | None = None,
        appearance: VolumeAppearance | None = None,
    ) -> None:
        super().__init__()
        self.size = tuple(size)
        self.window_hu = window_hu
        self.deformation = deformation or VolumeDeformation()
        self.appearance = appearance or VolumeAppearance()

    @torch.no_grad()
    def forward(self, hu: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Draws one variant of each patch.

        Args:
            hu: (B, 1, X, Y, Z) HU, any number type; larger than `size`, so that deformations find image.
            label: (B, 1, X, Y, Z) integers.

        Returns:
            (B, 1, *size) float32 in -1..1 and (B, 1, *size) labels of the given type.
        """
        with torch.autocast(hu.device.type, enabled=False):
            grid = self._grid(len(hu), hu.shape[2:], hu.device)
            moved = functional.grid_sample(hu.float(), grid, "bilinear", padding_mode="border", align_corners=False)
            labels = functional.grid_sample(
                label.float(), grid, "nearest", padding_mode="zeros", align_corners=False
            ).to(label.dtype)
            for patch in torch.nonzero(torch.rand(len(hu)) < self.deformation.flat_share).flatten().tolist():
                z = int(torch.randint(self.size[2], ()))
                moved[patch], labels[patch] = moved[patch, ..., z : z + 1], labels[patch, ..., z : z + 1]
            return window_to_unit(self._appearance(moved), self.window_hu), labels

    def _grid(self, batch: int, shape: torch.Size, device: torch.device) -> torch.Tensor:
        """Where each voxel of the result comes from, in `grid_sample`'s order: (B, X, Y, Z, 3) with z first."""
        extent = torch.tensor(shape, dtype=torch.float32, device=device)
        axes = [torch.arange(n, dtype=torch.float32, device=device) - (n - 1) / 2 for n in self.size]
        voxels = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
        shift = _symmetric((batch, 1, 3), device) * torch.tensor(self.deformation.shift_voxels, device=device)
        source = (voxels @ self._matrices(batch, device).transpose(1, 2) + shift) * (2.0 / extent)
        return source.flip(-1).reshape(batch, *self.size, 3)

    def _matrices(self, batch: int, device: torch.device) -> torch.Tensor:
        """(B, 3, 3) from voxels of the result to voxels of the input, both from their middle."""
        deformation = self.deformation
        angles = _symmetric((batch, 3), device) * torch.tensor(deformation.rotation_degrees, device=device)
        matrices = torch.eye(3, device=device).expand(batch, 3, 3)
        for axis in range(3):
            matrices = matrices @ _rotations(angles[:, axis] * (math.pi / 180.0), axis)
        shear = _symmetric((batch, 3, 3), device) * deformation.shear
        shear[:, range(3), range(3)] = 0.0
        largest = math.log1p(deformation.scale) / 2
        scale = torch.exp(largest * (_symmetric((batch, 1), device) + _symmetric((batch, 3), device)))
        if deformation.mirror:
            scale[:, 0] *= torch.where(torch.rand(batch, device=device) < 0.5, -1.0, 1.0)
        return matrices @ (torch.eye(3, device=device) + shear) @ torch.diag_embed(scale)

    def _appearance(self, hu: torch.Tensor) -> torch.Tensor:
        look, batch, device = self.appearance, len(hu), hu.device

        def chosen() -> torch.Tensor:
            return (torch.rand((batch, 1, 1, 1, 1), device=device) < look.share).float()

        low, high = look.blur_voxels
        sigma = low + (high - low) * torch.rand(batch, device=device)
        hu = torch.lerp(hu, _blurred(hu, sigma), chosen())
        white = torch.randn(hu.shape, device=device)
        # The mean of 9 independent values has a third of their standard deviation.
        smooth = 3.0 * functional.avg_pool3d(white, (3, 3, 1), stride=1, padding=(1, 1, 0))
        noise = torch.where(torch.rand((batch, 1, 1, 1, 1), device=device) < 0.5, white, smooth)
        least, most = (math.log(value) for value in look.noise_hu)
        level = torch.exp(least + (most - least) * torch.rand((batch, 1, 1, 1, 1), device=device))
        hu = hu + noise * level * chosen()
        hu = hu * (1 + look.gain * _symmetric((batch, 1, 1, 1, 1), device) * chosen())
        return hu + look.offset_hu * _symmetric((batch, 1, 1, 1, 1), device) * chosen()


def _symmetric(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Uniform between -1 and 1."""
    return 2.0 * torch.rand(shape, device=device) - 1.0


def _rotations(angles: torch.Tensor, axis: int) -> torch.Tensor:
    """(B, 3, 3) rotations about one axis."""
    first, second = (k for k in range(3) if k != axis)
    matrices = torch.eye(3, device=angles.device).repeat(len(angles), 1, 1)
    matrices[:, first, first] = matrices[:, second, second] = angles.cos()
    matrices[:, first, second] = -angles.sin()
    matrices[:, second, first] = angles.sin()
    return matrices


def _blurred(hu: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Each (1, X, Y, Z) of (B, 1, X, Y, Z) with a Gaussian of its own width, half as wide along z."""
    offsets = torch.arange(-2, 3, device=hu.device, dtype=torch.float32)
    volumes = hu.transpose(0, 1)  # patches become channels, so that each has its own kernel
    for axis, width in enumerate((sigma, sigma, 0.5 * sigma)):
        kernel = torch.exp(-0.5 * (offsets / width[:, None]) ** 2)
        kernel = kernel / kernel.sum(dim=1, keepdim=True)
        shape = [len(sigma), 1, 1, 1, 1]
        shape[2 + axis] = len(offsets)
        pads = [0] * 6
        pads[4 - 2 * axis : 6 - 2 * axis] = [2, 2]
        padded = functional.pad(volumes, pads, mode="replicate")
        volumes = functional.conv3d(padded, kernel.reshape(shape), groups=len(sigma))
    return volumes.transpose(0, 1)
