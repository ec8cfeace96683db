from __future__ import annotations

import torch

from nephro_monai.training.synthetic_batches import SynthesizeBatches


def test_image_and_label_are_made_of_the_tissues() -> None:
    callback = SynthesizeBatches(lambda t: (t * 10.0, (t > 1).to(torch.uint8)), lambda hu, label: (hu + 1, label * 2))
    batch = {"tissues": torch.tensor([0, 1, 2], dtype=torch.uint8)}
    callback.on_train_batch_start(None, None, batch, 0)
    assert batch.keys() == {"image", "label"}
    assert batch["image"].tolist() == [1.0, 11.0, 21.0] and batch["label"].tolist() == [0, 0, 2]
