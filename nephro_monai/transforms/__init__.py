"""Dictionary transforms of the journey that run no network."""

from __future__ import annotations

from nephro_monai.transforms.check_training_range import CheckTrainingRanged
from nephro_monai.transforms.crop_tumor_slices import CropTumorSlicesd
from nephro_monai.transforms.measure import MeasureKidneysd
from nephro_monai.transforms.number_kidneys import NumberKidneysd
from nephro_monai.transforms.rand_axial_slices import RandAxialSlicesd
from nephro_monai.transforms.rand_tumor_slices import RandTumorSlicesd
from nephro_monai.transforms.slice_class import LabelSliceClassd
from nephro_monai.transforms.vote import VoteMalignancyd
from nephro_monai.transforms.vote_folds import VoteFoldsd
from nephro_monai.transforms.vote_models import VoteModelsd
from nephro_monai.transforms.vote_segmentations import VoteSegmentationsd

__all__ = [
    "CheckTrainingRanged",
    "CropTumorSlicesd",
    "LabelSliceClassd",
    "MeasureKidneysd",
    "NumberKidneysd",
    "RandAxialSlicesd",
    "RandTumorSlicesd",
    "VoteFoldsd",
    "VoteMalignancyd",
    "VoteModelsd",
    "VoteSegmentationsd",
]
