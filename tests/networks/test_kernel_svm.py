"""The torch module against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from nephro_monai.networks.kernel_svm import KernelSVM
from nephro_monai.training.slice_svm import as_kernel_svm


@pytest.mark.parametrize("gamma", ["scale", 0.05])
def test_decisions_are_scikit_learns(gamma):
    rng = np.random.default_rng(0)
    x = rng.normal(50, 20, (80, 6))
    y = (np.hypot(x[:, 0] - 50, x[:, 1] - 50) > 22).astype(int)
    machine = make_pipeline(StandardScaler(), SVC(gamma=gamma, C=5.0)).fit(x, y)
    network = as_kernel_svm(machine, slope=2.0)
    samples = rng.normal(50, 25, (40, 6))
    logits = network(torch.from_numpy(samples))
    margins = machine.decision_function(samples)
    np.testing.assert_allclose((logits[:, 1] - logits[:, 0]).numpy(), 2 * margins, atol=1e-4)
    np.testing.assert_array_equal(logits.argmax(1).numpy(), machine.predict(samples))


def test_loading_sets_the_sizes():
    source = KernelSVM(5, 7)
    source.supports.normal_()
    source.coefficients.normal_()
    loaded = KernelSVM()
    loaded.load_state_dict(source.state_dict())
    samples = torch.randn(3, 5)
    torch.testing.assert_close(loaded(samples), source(samples))
