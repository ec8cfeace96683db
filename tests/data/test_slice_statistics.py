from __future__ import annotations

import numpy as np
import pytest
import torch

from nephro_monai.data.slice_statistics import compute_slice_statistics, read_slice_statistics
from nephro_monai.errors import TrainingDataError


def test_pixel_by_pixel_as_numpy_says():
    rng = np.random.default_rng(0)
    images = rng.integers(-1024, 1500, (40, 6, 8)).astype(np.int16)
    found = compute_slice_statistics([{"image": torch.from_numpy(image)[None]} for image in images], (6, 8))
    np.testing.assert_allclose(found.mean[0], images.mean(axis=0), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found.deviation[0], images.std(axis=0), rtol=1e-5)
    assert found.mean.dtype == found.deviation.dtype == torch.float32


def test_context_does_not_count():
    image = torch.full((1, 10, 12), 500, dtype=torch.int16)
    image[:, 2:8, 2:10] = -50
    found = compute_slice_statistics([{"image": image}], (6, 8))
    assert (found.mean == -50).all() and (found.deviation == 0).all()


def test_extreme_values_are_clipped():
    """One slice of -6986..18326 HU among ordinary ones."""
    slices = [{"image": torch.zeros(1, 2, 2)} for _ in range(9)]
    slices.append({"image": torch.tensor([[[18326.0, -6986.0], [0.0, 0.0]]])})
    found = compute_slice_statistics(slices, (2, 2), (-200.0, 500.0))
    torch.testing.assert_close(found.mean[0], torch.tensor([[50.0, -20.0], [0.0, 0.0]]))
    torch.testing.assert_close(found.deviation[0], torch.tensor([[150.0, 60.0], [0.0, 0.0]]))


def test_read_from_a_file(tmp_path):
    path = tmp_path / "statistics.pt"
    mean, deviation = torch.randn(1, 4, 6), torch.rand(1, 4, 6)
    torch.save({"mean": mean, "deviation": deviation}, path)
    found = compute_slice_statistics([], (4, 6), file=path)
    assert torch.equal(found.mean, mean) and torch.equal(found.deviation, deviation)
    with pytest.raises(TrainingDataError, match="compute them anew"):
        read_slice_statistics(path, (6, 4))
    path.write_bytes(b"no tensors")
    with pytest.raises(TrainingDataError, match="no slice statistics"):
        read_slice_statistics(path, (4, 6))


def test_nothing_to_compute_from():
    with pytest.raises(TrainingDataError, match="no slices"):
        compute_slice_statistics([], (4, 4))
    with pytest.raises(TrainingDataError, match="smaller"):
        compute_slice_statistics([{"image": torch.zeros(1, 3, 8)}], (4, 4))
