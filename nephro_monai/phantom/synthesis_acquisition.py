"""What a scanner makes of ideal HU, on batches: blur, slice profile, correlated noise, streaks, gain and offset."""

from __future__ import annotations

import torch
from torch.nn import functional

from nephro_monai.constants import HU_RANGE
from nephro_monai.phantom.synthesis_fields import Spacing, log_uniform, uniform
from nephro_monai.phantom.synthesis_settings import AcquisitionRanges

__all__ = ["acquire_batch", "gaussian_matrices", "slice_matrices"]

_AIR_BELOW_HU = -600.0
_WHITE_BELOW = 0.3
_AIR_NOISE = 0.35


def acquire_batch(image: torch.Tensor, spacing: Spacing, ranges: AcquisitionRanges) -> torch.Tensor:
    """Blurs, averages along z, adds noise and streaks, in the order of `acquisition.acquire`.

    Every linear step along an axis is a matrix per patch, so that all patches of a batch get their own at once.

    Args:
        image: (B, X, Y, Z) ideal HU.
        spacing: Of its voxels in mm.
        ranges: What is drawn.

    Returns:
        (B, X, Y, Z) float32 HU within `HU_RANGE`.
    """
    batch, device = len(image), image.device
    sigma_mm = uniform((batch,), *ranges.blur_mm)
    for axis in (0, 1):
        image = _along(image, gaussian_matrices(image.shape[1 + axis], sigma_mm / spacing[axis]).to(device), axis)
    thickness = torch.where(
        torch.rand(batch) < ranges.thick_share,
        log_uniform((batch,), *ranges.thickness_mm),
        torch.full((batch,), spacing[2]),
    )
    overlap = uniform((batch,), *ranges.slice_overlap)
    average, back = slice_matrices(image.shape[3], thickness / spacing[2], overlap, torch.rand(batch))
    image = _along(image, average.to(device), 2)
    body = torch.where(image > _AIR_BELOW_HU, 1.0, _AIR_NOISE)
    gain, offset = uniform((batch,), -ranges.gain, ranges.gain), uniform((batch,), -ranges.offset_hu, ranges.offset_hu)
    image = image * _column(1 + gain, device) + _column(offset, device)
    noise = _noise(image.shape, ranges, device) * _column(log_uniform((batch,), *ranges.noise_hu), device)
    streaked = torch.nonzero(torch.rand(batch) < ranges.streak_share).flatten()
    if len(streaked):
        noise[streaked.to(device)] += _streaks((len(streaked), *image.shape[1:]), ranges, device)
    return _along(image.addcmul_(noise, body), back.to(device), 2).clamp_(*HU_RANGE)


def _column(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    return values.to(device)[:, None, None, None]


def _along(volumes: torch.Tensor, matrices: torch.Tensor, axis: int) -> torch.Tensor:
    """Applies a matrix (B, new, old) per volume along one axis of (B, X, Y, Z)."""
    batch, x, y, z = volumes.shape
    if axis == 0:
        return torch.bmm(matrices, volumes.reshape(batch, x, y * z)).reshape(batch, -1, y, z)
    if axis == 1:
        return torch.matmul(matrices[:, None], volumes)
    return torch.bmm(volumes.reshape(batch, x * y, z), matrices.transpose(1, 2)).reshape(batch, x, y, -1)


def gaussian_matrices(size: int, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian filters of `sigma` voxels along an axis of `size` voxels, one (size, size) matrix per sigma."""
    at = torch.arange(size, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((at[:, None] - at) / sigma.clamp_min(0.05)[:, None, None]) ** 2)
    return weights / weights.sum(dim=2, keepdim=True)


def slice_matrices(
    size: int, thickness: torch.Tensor, overlap: torch.Tensor, start: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """From `size` voxels to slices of a thickness, and by linear interpolation back to voxels.

    Slices no thicker than a voxel are the voxels. Rows and columns beyond the last slice are zero.

    Args:
        size: Voxels along z.
        thickness: (B,) in voxels.
        overlap: (B,) share of each neighboring slice that a slice sees.
        start: (B,) where the first slice starts, 0..1 of a thickness before the first voxel.

    Returns:
        Two (B, size, size) matrices: slices from voxels, voxels from slices.
    """
    batch = len(thickness)
    step = thickness.clamp_min(1.0)[:, None]
    start = torch.where(thickness > 1, start, torch.zeros_like(start))[:, None]
    index = torch.arange(size, dtype=torch.float32)
    low = (index - start) * step  # lower end of each slice, voxel v lies from v to v + 1
    edges = torch.arange(size + 1, dtype=torch.float32)
    inside = torch.minimum(low[..., None] + step[..., None], edges[1:]) - torch.maximum(low[..., None], edges[:-1])
    average = inside.clamp_min(0.0)
    filled = average.sum(dim=2, keepdim=True)
    average = average / filled.clamp_min(1e-6)
    used = (filled[:, :, 0] > 0).sum(dim=1)
    last = (used - 1)[:, None]
    rows = torch.arange(size).expand(batch, size)
    neighbors = sum(
        torch.gather(average, 1, k.clamp_min(0).minimum(last)[..., None].expand_as(average))
        for k in (rows - 1, rows + 1)
    )
    share = overlap[:, None, None]
    average = ((1 - 2 * share) * average + share * neighbors) * (rows < used[:, None])[..., None]
    place = ((index + 0.5) / step + start - 0.5).clamp_min(0.0).minimum(last.float())
    floor = place.floor()
    part = place - floor
    back = torch.zeros(batch, size, size)
    back.scatter_(2, floor.long()[..., None], (1 - part)[..., None])
    back.scatter_add_(2, (floor.long() + 1).minimum(last)[..., None], part[..., None])
    return average, back


def _noise(shape: torch.Size, ranges: AcquisitionRanges, device: torch.device) -> torch.Tensor:
    """Unit-variance noise, correlated in plane, sometimes without low frequencies."""
    batch = shape[0]
    noise = torch.randn(shape, device=device)
    sigma = uniform((batch,), *ranges.noise_blur)
    sigma = torch.where(sigma < _WHITE_BELOW, torch.zeros_like(sigma), sigma)
    for axis in (0, 1):
        noise = _along(noise, gaussian_matrices(shape[1 + axis], sigma).to(device), axis)
    sharp = torch.nonzero(torch.rand(batch) < ranges.band_passed_share).flatten()
    if len(sharp):
        some = noise[sharp.to(device)]
        low = functional.avg_pool3d(some[:, None], (5, 5, 1), stride=1, padding=(2, 2, 0), count_include_pad=False)
        noise[sharp.to(device)] = some - _column(uniform((len(sharp),), 0.5, 0.9), device) * low[:, 0]
    return noise / noise.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)


def _streaks(shape: tuple[int, ...], ranges: AcquisitionRanges, device: torch.device) -> torch.Tensor:
    """Long streaks from left to right, as the arms or the hips leave."""
    batch, x, y, z = shape
    lines = torch.randn(batch, max(4, x // 24), y, z, device=device)
    weights = functional.interpolate(
        torch.eye(lines.shape[1])[None], size=x, mode="linear", align_corners=True
    )[0].T.to(device)  # fmt: skip
    level = log_uniform((batch,), *ranges.streak_hu)
    return _along(lines, weights.expand(batch, -1, -1), 0) * _column(level, device)
