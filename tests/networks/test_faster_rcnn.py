"""The detector: ResNet-50's keys, output format, losses, pretrained weights, export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet50
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from nephro_monai.errors import WeightsError
from nephro_monai.networks.faster_rcnn import KidneyFasterRCNN, RegionSettings, load_pretrained
from nephro_monai.structures import SliceGrid


def tiny(**settings) -> KidneyFasterRCNN:
    torch.manual_seed(0)
    regions = RegionSettings(proposals=12, training=8, size=4, detections=5, score_threshold=0.0)
    return KidneyFasterRCNN(width=4, anchor_sizes=(16, 32), regions=regions, **settings)


@pytest.fixture(scope="module")
def paper_network() -> KidneyFasterRCNN:
    return KidneyFasterRCNN()


@pytest.fixture(scope="module")
def imagenet() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return resnet50(weights=None).state_dict()


def test_width_64_is_resnet50_tensor_by_tensor(paper_network, imagenet):
    own = {}
    for key, value in paper_network.state_dict().items():
        if key.startswith("backbone."):
            own[key.removeprefix("backbone.")] = value
        elif key.startswith("roi_heads.box_head."):
            own[key.removeprefix("roi_heads.box_head.")] = value
    expected = {key: value for key, value in imagenet.items() if not key.startswith("fc.")}
    assert own.keys() == expected.keys()
    assert all(own[key].shape == expected[key].shape for key in own)


def test_c4_arrangement_of_the_paper(paper_network):
    assert paper_network.backbone.out_channels == 1024
    assert paper_network.rpn.post_nms_top_n() in (300, 256)  # test and training
    assert paper_network.rpn._post_nms_top_n["testing"] == 300
    assert paper_network.roi_heads.box_roi_pool.output_size == (14, 14)
    assert paper_network.roi_heads.box_predictor.cls_score.in_features == 2048
    assert paper_network.roi_heads.box_predictor.cls_score.out_features == 2
    assert paper_network.rpn.fg_bg_sampler.positive_fraction == 0.5
    assert paper_network.roi_heads.fg_bg_sampler.positive_fraction == 0.5


def test_backbone_computes_what_torchvision_computes(paper_network, imagenet, tmp_path):
    torch.save(imagenet, tmp_path / "resnet50.pth")
    network = KidneyFasterRCNN().eval()
    load_pretrained(network, tmp_path / "resnet50.pth")
    reference = resnet50(weights=None).eval()
    reference.load_state_dict(imagenet)
    gray = torch.rand(1, 1, 64, 48)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        x = reference.maxpool(reference.relu(reference.bn1(reference.conv1((gray.repeat(1, 3, 1, 1) - mean) / std))))
        conv4 = reference.layer3(reference.layer2(reference.layer1(x)))
        assert torch.allclose(network.backbone(gray), conv4, atol=1e-5)
        assert torch.allclose(network.roi_heads.box_head(conv4), reference.layer4(conv4).mean(dim=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride(stride):
    features = tiny(output_stride=stride).eval().backbone(torch.rand(1, 1, 64, 96))
    assert features.shape == (1, 64, 64 // stride, 96 // stride)


def test_stride_8_keeps_the_keys():
    assert tiny(output_stride=8).state_dict().keys() == tiny(output_stride=16).state_dict().keys()


def test_output_is_padded_columns_in_falling_order():
    with torch.no_grad():
        columns = tiny().eval()(torch.rand(3, 1, 64, 64))
    assert columns.shape == (3, 6, 5)
    assert columns.dtype == torch.float32
    for image in columns:
        found = image[:, image[5] > 0]
        assert found.shape[1] > 0
        assert (found[2] > found[0]).all()
        assert (found[3] > found[1]).all()
        assert (found[:4] >= 0).all()
        assert (found[:4] <= 64).all()
        assert (found[4].diff() <= 0).all()
        assert (image[:, image[5] == 0] == 0).all()


def test_scores_below_the_threshold_leave_zeros():
    network = KidneyFasterRCNN(width=4, regions=RegionSettings(12, 8, 4, 5, score_threshold=1.0)).eval()
    with torch.no_grad():
        assert (network(torch.rand(1, 1, 64, 64)) == 0).all()


def test_scripted_network_gives_the_same_boxes():
    network = tiny().eval()
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(network)(images), network(images), atol=1e-4)


def test_losses_train_every_part_and_take_slices_without_kidney():
    network = tiny().train()
    targets = [
        {"boxes": torch.tensor([[10.0, 12.0, 30.0, 40.0]]), "labels": torch.ones(1, dtype=torch.int64)},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    losses = network.losses(torch.rand(2, 1, 64, 64), targets)
    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_losses_need_training_mode():
    with pytest.raises(RuntimeError, match="train"):
        tiny().eval().losses(torch.rand(1, 1, 64, 64), [])


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_loss_falls(precision):
    """Both precisions learn: bfloat16 gradients of small convolutions are not always right on every processor."""
    network = tiny(output_stride=8)
    image = torch.rand(2, 1, 64, 64) * 0.1
    image[0, 0, 20:40, 8:28] = 1.0
    image[1, 0, 16:40, 30:54] = 1.0
    boxes = torch.tensor([[[8.0, 20.0, 28.0, 40.0]], [[30.0, 16.0, 54.0, 40.0]]])
    targets = [{"boxes": box, "labels": torch.ones(1, dtype=torch.int64)} for box in boxes]
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    totals = []
    for _ in range(12):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            loss = torch.stack(list(network.losses(image, targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(float(loss.detach()))
    assert sum(totals[-3:]) < 0.7 * sum(totals[:3])


def test_imagenet_weights_load_by_key(imagenet, tmp_path):
    torch.save(imagenet, tmp_path / "resnet50.pth")
    network = KidneyFasterRCNN()
    assert load_pretrained(network, tmp_path / "resnet50.pth") == (len(imagenet) - 2, 2)  # all but fc
    state = network.state_dict()
    assert torch.equal(state["backbone.layer3.5.conv2.weight"], imagenet["layer3.5.conv2.weight"])
    assert torch.equal(state["roi_heads.box_head.layer4.0.conv1.weight"], imagenet["layer4.0.conv1.weight"])


def test_coco_weights_load_backbone_and_conv5(tmp_path, caplog):
    torch.manual_seed(2)
    coco = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    torch.save(coco, tmp_path / "coco.pth")
    network = KidneyFasterRCNN(norm="frozen")
    with caplog.at_level("INFO"):
        loaded, skipped = load_pretrained(network, tmp_path / "coco.pth")
    body = [key for key in coco if key.startswith("backbone.body.")]
    assert loaded >= len([key for key in body if "num_batches" not in key])
    assert loaded + skipped == len(coco)
    assert f"{loaded} tensors loaded, {skipped} skipped" in caplog.text
    state = network.state_dict()
    assert torch.equal(state["backbone.conv1.weight"], coco["backbone.body.conv1.weight"])
    assert torch.equal(state["roi_heads.box_head.layer4.2.conv3.weight"], coco["backbone.body.layer4.2.conv3.weight"])


def test_weights_that_do_not_fit_are_refused(imagenet, tmp_path):
    torch.save(imagenet, tmp_path / "resnet50.pth")
    with pytest.raises(WeightsError, match="width 64"):
        load_pretrained(KidneyFasterRCNN(width=4), tmp_path / "resnet50.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_pretrained(KidneyFasterRCNN(width=4), tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_pretrained(KidneyFasterRCNN(width=4), Path(tmp_path / "missing.pth"))


def test_refused_weights_leave_the_network_as_it_was(imagenet, tmp_path):
    torch.save({"conv1.weight": imagenet["conv1.weight"]}, tmp_path / "one.pth")
    network = KidneyFasterRCNN()
    before = network.backbone.conv1.weight.clone()
    with pytest.raises(WeightsError, match="fits only 1 of"):
        load_pretrained(network, tmp_path / "one.pth")
    assert torch.equal(network.backbone.conv1.weight, before)


@pytest.mark.parametrize("bad", [{"output_stride": 4}, {"norm": "group"}, {"width": 0}, {"anchor_sizes": (0, 8)}])
def test_bad_arguments(bad):
    with pytest.raises(ValueError, match="got"):
        KidneyFasterRCNN(**{"width": 4, **bad})
    with pytest.raises(ValueError, match="start at 1"):
        RegionSettings(proposals=0)


def test_grid_travels_with_the_network():
    assert tiny(grid=SliceGrid(5.0, 2.0, 64)).grid == SliceGrid(5.0, 2.0, 64)
    assert KidneyFasterRCNN(width=4).grid.input_size == 512


def test_weights_trained_with_frozen_norms_fit_the_network_for_inference():
    frozen = tiny(norm="frozen").eval()
    plain = {key: value.clone() for key, value in frozen.state_dict().items()}  # as training writes it
    network = tiny().eval()
    network.load_state_dict(plain, strict=True)
    images = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network(images), frozen(images), atol=1e-4)
