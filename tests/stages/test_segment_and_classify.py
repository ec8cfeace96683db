"""One pass for outlines and votes, with an analytic network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from nephro_monai.errors import BundleError
from nephro_monai.geometry import StackGrid, window_to_unit
from nephro_monai.networks.two_step_head import MultiTaskOutput
from nephro_monai.stages import SegmentAndClassifyd, SliceStackInferer, SliceStackSettings
from nephro_monai.structures import Box, Scan
from nephro_monai.transforms import MeasureKidneysd, VoteMalignancyd

KIDNEY_HU, BENIGN_HU, MALIGNANT_HU, FAT_HU = 120.0, 230.0, 320.0, -100.0
SETTINGS = SliceStackSettings(grid=StackGrid(1.5, 3.0, 48), bfloat16=False)
SHAPE = (90, 80, 24)


class Analytic(nn.Module):
    """Kidney above 10 HU, tumor above 180; malignant if 100 pixels are above 280, benign if they are tumor."""

    phases = 1

    def outputs(self, slices: torch.Tensor) -> MultiTaskOutput:
        assert slices.shape[1] == self.phases and slices.min() >= -1 and slices.max() <= 1
        first = slices[:, :1]
        low, middle, high = window_to_unit(torch.tensor([10.0, 180.0, 280.0]), (-160.0, 340.0))
        ternary = torch.cat([-40 * (first - low), torch.zeros_like(first), 40 * (first - middle)], dim=1)
        tumor, bright = ((first > level).sum((1, 2, 3)) >= 100 for level in (middle, high))
        classes = torch.stack([tumor & ~bright, bright, ~tumor], dim=1).float() * 4
        return MultiTaskOutput(ternary, None, classes)


def scan_of(*spheres) -> MetaTensor:
    """Fat with spheres (center in voxels, radius in mm, HU) at 1.5 x 1.5 x 3 mm."""
    spacing = np.array([1.5, 1.5, 3.0])
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")) * spacing[:, None, None, None]
    hu = np.full(SHAPE, FAT_HU, np.float32)
    for center, radius, value in spheres:
        middle = (np.array(center) * spacing).reshape(3, 1, 1, 1)
        hu[((grid - middle) ** 2).sum(0) < radius**2] = value
    return MetaTensor(torch.from_numpy(hu)[None], affine=torch.diag(torch.tensor([1.5, 1.5, 3.0, 1.0]).double()))


def case_of(image: MetaTensor, *boxes: Box, **more: object) -> dict:
    affine = tuple(tuple(row) for row in image.affine.tolist())
    scan = Scan("a.nii.gz", "nifti", SHAPE, affine, "RAS")
    return {"image": image, "kidneys": list(boxes), "scan": scan, **more}


def dice(a, b):
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


ONE = Box(8, 20, 1, 44, 60, 23)
TWO = Box(50, 20, 1, 86, 60, 23)
KIDNEYS = [((26, 40, 12), 24, KIDNEY_HU), ((68, 40, 12), 24, KIDNEY_HU)]


@pytest.fixture(scope="module")
def done():
    """A malignant tumor in one kidney, a benign one in the other."""
    image = scan_of(*KIDNEYS, ((30, 46, 10), 12, MALIGNANT_HU), ((66, 36, 14), 13, BENIGN_HU))
    return SegmentAndClassifyd(Analytic(), settings=SETTINGS)(case_of(image, ONE, TWO))


def test_outlines_lie_on_the_scans_grid(done):
    hu, found = done["image"].as_tensor()[0], done["segmentation"].as_tensor()[0]
    assert done["segmentation"].dtype == torch.uint8 and torch.equal(done["segmentation"].affine, done["image"].affine)
    assert dice(found > 0, hu > 0) > 0.95
    assert dice(found == 2, hu > 200) > 0.85


def test_the_vote_goes_straight_on(done):
    case = VoteMalignancyd()(MeasureKidneysd()(done))
    verdicts = {tumor.tumor: tumor.verdict for tumor in case["diagnosis"].tumors}
    sides = {tumor.index: tumor.center_mm[0] for tumor in case["tumors"]}
    for index, verdict in verdicts.items():
        assert verdict == ("malignant" if sides[index] < 70 else "benign")
    assert case["diagnosis"].verdict == "malignant"


def test_votes_slices_and_probabilities_belong_together(done):
    votes, probabilities, crops = done["slice_votes"], done["slice_probabilities"], done["tumor_slices"]
    assert len(votes) == len(probabilities) == len(crops) > 6
    assert crops.shape[1:] == (1, 48, 48)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(votes)))
    for vote, row, crop in zip(votes, probabilities, crops, strict=True):
        assert vote.probabilities == pytest.approx(row.tolist())
        bright = (crop > 280).sum() >= 100
        assert (vote.vote == "malignant") == bool(bright)
        assert vote.position_mm == pytest.approx(3.0 * vote.slice_index)
    assert [(v.tumor, v.slice_index) for v in votes] == sorted((v.tumor, v.slice_index) for v in votes)


def test_normal_slices_of_a_tumor_have_no_say(done):
    normal = [vote for vote in done["slice_votes"] if vote.vote == "normal"]
    assert normal, "the ends of the tumors are specks"
    diagnosis = VoteMalignancyd()(MeasureKidneysd()(done))["diagnosis"]
    assert sum(diagnosis.votes.values()) == len(done["slice_votes"]) - len(normal)
    malignant = next(tumor for tumor in diagnosis.tumors if tumor.verdict == "malignant")
    assert malignant.mean_probability_malignant == pytest.approx(np.exp(4) / (np.exp(4) + 1), abs=1e-4)


def test_slices_that_miss_the_outline_vote_for_the_nearest_tumor():
    """Bright dots outside the kept region make slices malignant that cut no outlined tumor."""
    image = scan_of(KIDNEYS[0], ((30, 46, 10), 9, BENIGN_HU))
    image[0, 8:18, 20:31, 19:22] = MALIGNANT_HU
    case = SegmentAndClassifyd(Analytic(), settings=SETTINGS)(case_of(image, ONE))
    late = [vote for vote in case["slice_votes"] if vote.slice_index >= 19]
    assert late and all((vote.tumor, vote.vote, vote.area_mm2) == (1, "malignant", 0.0) for vote in late)


def test_kidneys_without_a_tumor_do_not_vote():
    case = SegmentAndClassifyd(Analytic(), settings=SETTINGS)(case_of(scan_of(KIDNEYS[0]), ONE))
    assert (case["segmentation"] == 1).any()
    assert case["slice_votes"] == [] and case["slice_probabilities"].shape == (0, 3)
    assert case["tumor_slices"].shape == (0, 1, 48, 48)
    assert VoteMalignancyd()(MeasureKidneysd()(case))["diagnosis"].reason == "No tumor was found."


def test_no_kidney_no_outline():
    case = SegmentAndClassifyd(Analytic(), settings=SETTINGS)(case_of(scan_of()))
    assert not case["segmentation"].any() and case["slice_votes"] == []


def test_a_box_larger_than_the_input_is_seen_in_windows():
    image = scan_of(*KIDNEYS, ((30, 46, 10), 12, MALIGNANT_HU))
    whole = Box(0, 0, 0, *SHAPE)
    case = SegmentAndClassifyd(Analytic(), settings=SETTINGS)(case_of(image, whole, localization={"fallback": True}))
    assert dice(case["segmentation"].as_tensor()[0] > 0, image.as_tensor()[0] > 0) > 0.95
    assert any(vote.vote == "malignant" for vote in case["slice_votes"])
    inferer = SliceStackInferer(SETTINGS)
    found = inferer(MetaTensor(image.as_tensor()[None], affine=image.affine[None]), Analytic())
    assert torch.equal(found[0].as_tensor(), case["segmentation"].as_tensor())
    with pytest.raises(TypeError, match="MetaTensors"):
        inferer(image.as_tensor()[None], Analytic())


def test_the_second_phase_is_the_second_channel():
    image = scan_of(KIDNEYS[0])
    network = Analytic()
    network.phases = 2
    stage = SegmentAndClassifyd(network, second_key="second_image", settings=SETTINGS)
    assert (stage(case_of(image, ONE, second_image=image + 30))["segmentation"] == 1).any()
    with pytest.raises(ValueError, match="one shape"):
        stage(case_of(image, ONE, second_image=image[:, :80]))


@pytest.mark.parametrize(("channels", "second_key", "brought"), [(2, None, 1), (1, "second_image", 2)])
def test_a_network_of_another_number_of_phases_is_refused(channels, second_key, brought):
    message = rf"takes {channels} contrast phase\(s\), but the journey brings {brought}.*scnet_two_phase.json"
    network = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Conv2d(4, 3, 1))
    with pytest.raises(BundleError, match=message):
        SegmentAndClassifyd(network, second_key=second_key)
    with pytest.raises(BundleError, match=message):
        SegmentAndClassifyd(Analytic(), second_key=second_key, classifier=network)
    SegmentAndClassifyd(network, second_key="second_image" if channels == 2 else None)


def test_a_network_that_only_outlines_gives_no_votes():
    class Outlines(Analytic):
        def outputs(self, slices):
            return super().outputs(slices)._replace(classes=None)

    image = scan_of(*KIDNEYS, ((30, 46, 10), 12, MALIGNANT_HU))
    case = SegmentAndClassifyd(Outlines(), settings=SETTINGS)(case_of(image, ONE, TWO))
    assert (case["segmentation"] == 2).any() and case["slice_votes"] == []
    assert "Not classified" in VoteMalignancyd()(MeasureKidneysd()(case))["diagnosis"].reason


def test_a_network_that_only_classifies_is_refused():
    class Classes(Analytic):
        def outputs(self, slices):
            return super().outputs(slices)._replace(ternary=None)

    with pytest.raises(ValueError, match="outlines nothing"):
        SegmentAndClassifyd(Classes(), settings=SETTINGS)(case_of(scan_of(KIDNEYS[0]), ONE))


def test_another_classifier_may_judge_the_same_slices():
    class Benign(nn.Module):
        def forward(self, slices):
            return torch.tensor([[9.0, 0.0, 0.0]]).expand(len(slices), 3)

    image = scan_of(*KIDNEYS, ((30, 46, 10), 12, MALIGNANT_HU))
    case = SegmentAndClassifyd(Analytic(), classifier=Benign(), settings=SETTINGS)(case_of(image, ONE, TWO))
    assert {vote.vote for vote in case["slice_votes"]} == {"benign"}


def test_training_weights_are_taken_off():
    """A network that learned with tumor weighted e^8 times is that much surer of tumor than it should be."""

    class Partial(Analytic):
        def outputs(self, slices):
            found = super().outputs(slices)
            return found._replace(ternary=found.ternary + torch.tensor([0.0, 0.0, 8.0])[:, None, None])

    image = scan_of(KIDNEYS[0], ((30, 46, 10), 12, MALIGNANT_HU))
    plain = SegmentAndClassifyd(Analytic(), settings=SETTINGS)(case_of(image, ONE))["segmentation"]
    settings = SliceStackSettings(grid=SETTINGS.grid, bfloat16=False, loss_weights=(1.0, 1.0, float(np.exp(8))))
    adjusted = SegmentAndClassifyd(Partial(), settings=settings)(case_of(image, ONE))["segmentation"]
    assert torch.equal(plain.as_tensor(), adjusted.as_tensor())
