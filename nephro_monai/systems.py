"""The systems of the five papers: the one list that the command line, the documentation and the tests read.

Imports nothing heavy, so that `nephro systems` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nephro_monai.errors import BundleError

__all__ = ["BASELINES", "SYSTEMS", "Baseline", "System", "find_configurations", "find_system"]


@dataclass(frozen=True)
class System:
    """One paper's system, from scan to result.

    Attributes:
        name: As `nephro predict --system` takes it.
        title: What it is.
        paper: Authors, year and title.
        bundles: Its networks, in the order a scan meets them.
        tasks: What it does of "detection", "segmentation" and "classification".
        reported: The figures of the paper, on the paper's own data.
        borrows: Networks it lacks and takes from the default cascade (of its two V-Nets the finer one, in one view).
    """

    name: str
    title: str
    paper: str
    bundles: tuple[str, ...]
    tasks: tuple[str, ...]
    reported: dict[str, str]
    borrows: tuple[str, ...] = ()

    @property
    def configuration(self) -> str:
        """The cascade bundle's configuration file that runs this system."""
        return f"{self.name}.json"


_DETECTOR: Final = "kidney_ct_detection_faster_rcnn"
_VNET: Final = "kidney_tumor_ct_segmentation_vnet"

_ALL: Final = (
    System(
        name="faster_rcnn_vnet",
        title="Faster R-CNN finds the kidneys, V-Net outlines them",
        paper="Kamkova Y. et al. Kidney and tumor segmentation using combined deep learning method. KiTS19, 2019",
        bundles=(_DETECTOR, _VNET),
        tasks=("detection", "segmentation"),
        reported={"detection recall per slice": "0.9613", "detection precision per slice": "0.5021"},
    ),
    System(
        name="enet_two_stage",
        title="Two ENets: one finds the kidneys in whole slices, one outlines tumors in crops",
        paper="Dahiya N., Sharma A. Segmentation of kidney tumor. KiTS19, 2019",
        bundles=("kidney_ct_segmentation_enet", "kidney_tumor_ct_segmentation_enet"),
        tasks=("segmentation",),
        reported={"kidney Dice (20 cases)": "0.94", "tumor Dice (20 cases)": "0.46"},
    ),
    System(
        name="scnet",
        title="SCNet outlines and classifies in one pass, with a two-step attention head",
        paper="Pan T. et al. A multi-task convolutional neural network for renal tumor segmentation and "
        "classification using multi-phasic CT images. ICIP 2019",
        bundles=(_DETECTOR, "kidney_tumor_ct_segmentation_scnet"),
        tasks=("segmentation", "classification"),
        reported={
            "kidney Dice": "0.944", "tumor Dice": "0.882", "accuracy per patient": "1.0", "accuracy per slice": "0.973",
        },
        borrows=(_DETECTOR,),
    ),
    System(
        name="color_nephro_net",
        title="ColorNephroNet colorizes the tumor slices before a DenseNet classifies them",
        paper="Obuchowski A. et al. ColorNephroNet: Kidney tumor malignancy prediction using medical image "
        "colorization",
        bundles=(_DETECTOR, _VNET, "ct_colorization_cic", "renal_tumor_ct_classification_densenet"),
        tasks=("classification",),
        reported={"accuracy": "0.86", "F1 (class not stated)": "0.8444"},
        borrows=(_DETECTOR, _VNET),
    ),
    System(
        name="inception_radiomics",
        title="Inception-v3 on three-window slices, and patient-level models on its features",
        paper="Zhou L. et al. A deep learning-based radiomics model for differentiating benign and malignant renal "
        "tumors. Translational Oncology 2019",
        bundles=(
            _DETECTOR, _VNET, "renal_tumor_ct_classification_inception", "renal_tumor_ct_patient_classification",
        ),
        tasks=("classification",),
        reported={"accuracy (ROI, image level)": "0.97", "accuracy (RBR, GRU)": "0.95", "accuracy (Slice, FC)": "0.74"},
        borrows=(_DETECTOR, _VNET),
    ),
)  # fmt: skip

SYSTEMS: Final[dict[str, System]] = {system.name: system for system in _ALL}
"""The papers' systems by name."""


@dataclass(frozen=True)
class Baseline:
    """What a paper compares its system with: the system with one part exchanged.

    Attributes:
        name: As `nephro predict --system` takes it.
        title: What it is.
        system: The system whose paper compares itself with it.
    """

    name: str
    title: str
    system: str

    @property
    def configurations(self) -> tuple[str, str]:
        """The cascade bundle's configuration files that run it, later ones over earlier ones."""
        return SYSTEMS[self.system].configuration, f"baseline_{self.name}.json"


_BASELINES: Final = (
    Baseline("unet", "U-Net outlines in SCNet's place; no classes", "scnet"),
    Baseline("pspnet", "PSPNet outlines in SCNet's place; no classes", "scnet"),
    Baseline("scnet_ternary", "SCNet trained without the loss of its first step", "scnet"),
    Baseline("resnet50", "ResNet-50 classifies the slices that SCNet outlines", "scnet"),
    Baseline("svm", "A support vector machine on features of the tumors that SCNet outlines", "scnet"),
    Baseline("gray_copy", "ColorNephroNet without colors: the gray slice three times", "color_nephro_net"),
)

BASELINES: Final[dict[str, Baseline]] = {baseline.name: baseline for baseline in _BASELINES}
"""The papers' baselines by name."""


def find_configurations(name: str) -> tuple[str, ...]:
    """The cascade's configuration files that run a system or a baseline.

    Raises:
        BundleError: If there is none of that name.
    """
    if name in BASELINES:
        return BASELINES[name].configurations
    if name in SYSTEMS:
        return (SYSTEMS[name].configuration,)
    raise BundleError(
        f"There is no system {name!r}; `nephro systems` lists them: {', '.join(SYSTEMS)}; and the baselines "
        f"{', '.join(BASELINES)}."
    )


def find_system(name: str) -> System:
    """The system of that name.

    Raises:
        BundleError: If there is none.
    """
    if name not in SYSTEMS:
        raise BundleError(f"There is no system {name!r}; `nephro systems` lists them: {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]
