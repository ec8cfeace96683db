"""Sections of the preview page about anatomy: bodies, kidneys, tumors, contrast, unusual findings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nephro_monai.phantom import PhantomCase, Tissue
from nephro_monai.phantom.config import SPECIALS
from nephro_monai.phantom.tissues import PHASES
from nephro_monai.reporting.phantom_planes import body_planes, draw_hu, draw_tissues, lesion_planes
from nephro_monai.reporting.preview_parts import (
    CaseMaker,
    Group,
    Panel,
    Section,
    body_size_mm,
    describe_grid,
    describe_tumor,
    mean_hu,
    say_name,
    say_phase,
    tumor_mm,
)

__all__ = ["show_bodies", "show_build", "show_kidneys", "show_phases", "show_specials", "show_tumors"]

_BUILD = {
    "body": "skin, fat, wall, spine with its muscles, ribs, pelvis, lungs, table",
    "renal vessels": "artery, vein and ureter of each kidney",
    "organs": "great vessels, liver, spleen, adrenals, stomach, pancreas, bowel, mesentery",
    "kidneys": "cortex, medulla, sinus, and the fat around them",
    "cysts": "simple cysts keep the kidney's label",
    "tumors": "with necrosis, scar, fat or calcification as their subtype has them",
}
_TRIES = 5
_TELLING_MM = (30.0, 80.0)
"""Size of a tumor that shows well in a picture of the whole body."""


def show_build(maker: CaseMaker) -> Section:
    """One case, after every part that paints, then its ideal and its acquired HU."""
    seen: dict[str, NDArray[np.uint8]] = {}
    for number in range(_TRIES):
        case = maker.make(
            number, lambda part, tissues: seen.update({part: tissues.copy()}), kind="malignant", phase="arterial"
        )
        if _TELLING_MM[0] < tumor_mm(case) < _TELLING_MM[1]:
            break
    planes = body_planes(case)
    panels = [
        Panel(f"{place}. {part.capitalize()}", _BUILD[part], tuple(draw_tissues(case, seen[part], p) for p in planes))
        for place, part in enumerate(_BUILD, start=1)
    ]
    ideal = _ideal(case)
    panels.append(
        Panel(
            "7. Ideal HU",
            f"contrast phase first, then correlated HU per tissue and texture; {_hu_line(case)}",
            tuple(draw_hu(case, ideal, p) for p in planes),
        )
    )
    acquired = (
        f"blur, slice profile, gain and offset, noise, streaks; {describe_grid(case)}; tumor {describe_tumor(case)}"
    )
    panels.append(Panel("8. Acquired HU", acquired, tuple(draw_hu(case, case.image, p) for p in planes)))
    return Section(
        "build",
        "How a case is built",
        "One case after each part that paints. Vessels come first and hold their place, bowel fills what is left, and "
        "kidneys go over everything, so that the label map is exact.",
        (Group(tuple(panels)),),
    )


def show_bodies(maker: CaseMaker, count: int = 4) -> Section:
    """Several patients: tissues and CT."""
    panels = []
    for number in range(10, 10 + count):
        case = maker.make(number)
        axial, coronal = body_planes(case)
        width, depth = body_size_mm(case)
        pictures = (
            draw_tissues(case, case.tissues, axial),
            draw_hu(case, case.image, axial),
            draw_hu(case, case.image, coronal),
        )
        kind = say_name(case.record["phantom"]["subtype"] or "no tumor")
        caption = f"body {width:.0f} x {depth:.0f} mm, {describe_grid(case)}"
        panels.append(Panel(f"Patient {number - 9}: {kind}", caption, pictures))
    return Section(
        "bodies",
        "Body shape and anatomy",
        "Build, fat, muscles, organs, field of view and height of the scan change from patient to patient, more than "
        "they do in life.",
        (Group(tuple(panels)),),
    )


def show_kidneys(maker: CaseMaker) -> Section:
    """One kidney close up in each phase, at full resolution."""
    panels: list[Panel] = []
    for phase in PHASES:
        case = maker.make(20, kind="none", phase=phase, field_of_view="kidneys")
        planes = lesion_planes(case, 14, 90, side=-1 if _has_kidney(case, -1) else 1)
        if not panels:
            caption = f"{describe_grid(case, phase=False)}, {case.record['phantom']['cysts']} cysts"
            panels.append(Panel("Tissues", caption, tuple(draw_tissues(case, case.tissues, p) for p in planes)))
        cortex, medulla = mean_hu(case, Tissue.KIDNEY_CORTEX), mean_hu(case, Tissue.KIDNEY_MEDULLA)
        urine = mean_hu(case, Tissue.COLLECTING_SYSTEM)
        caption = f"ideal HU: cortex {cortex}, medulla {medulla}, collecting system {urine}"
        panels.append(Panel(say_phase(phase), caption, tuple(draw_hu(case, case.image, p) for p in planes)))
    return Section(
        "kidneys",
        "Kidneys",
        "The same kidney in the four phases: the cortex leads in the arterial phase, medulla and cortex meet in the "
        "nephrographic one, contrast fills the collecting system in the excretory one.",
        (Group(tuple(panels)),),
        columns=5,
    )


def show_tumors(maker: CaseMaker) -> Section:
    """Crops around tumors: the same masses dressed as each subtype, in three phases."""
    small, middle, large = _three_masses(maker)
    wanted = [(number, "arterial") for number in (small, middle, large)]
    wanted += [(middle, phase) for phase in PHASES if phase != "arterial"]
    groups = []
    ranges = maker.parameters
    families = {"malignant": ranges.malignant_subtype_shares, "benign": ranges.benign_subtype_shares}
    for family, subtypes in families.items():
        for subtype, share in subtypes.items():
            panels = []
            for number, phase in wanted:
                case = maker.make(number, subtype=subtype, phase=phase, field_of_view="tumors")
                planes = lesion_planes(case, 12, 60)
                pictures = (draw_hu(case, _ideal(case), planes[0]), *(draw_hu(case, case.image, p) for p in planes))
                panels.append(Panel(say_phase(phase), describe_tumor(case), pictures))
            title = f"{say_name(subtype)} ({family}, {share:.0%} of the {family} ones)"
            groups.append(Group(tuple(panels), title[:1].upper() + title[1:]))
    return Section(
        "tumors",
        "Tumors by subtype",
        "The same three masses, dressed as each subtype: ideal HU, what the scanner made of it, and a coronal cut. "
        "Looks overlap, so that no single sign decides: necrosis marks most clear cell carcinomas, a scar most "
        "oncocytomas, fat most angiomyolipomas; papillary ones are dark and even.",
        tuple(groups),
        columns=6,
    )


def _three_masses(maker: CaseMaker) -> tuple[int, int, int]:
    """Numbers of cases with a small, a middling and a large tumor among a few."""
    sizes = {
        number: tumor_mm(maker.make(number, kind="malignant", field_of_view="tumors"))
        for number in range(30, 30 + _TRIES)
    }
    ordered = sorted(sizes, key=lambda number: sizes[number])
    return ordered[0], ordered[_TRIES // 2], ordered[-1]


def show_phases(maker: CaseMaker) -> Section:
    """The same anatomy in the four contrast phases."""
    panels = []
    for phase in PHASES:
        case = maker.make(40, kind="malignant", phase=phase)
        pictures = tuple(draw_hu(case, case.image, plane) for plane in body_planes(case))
        panels.append(Panel(say_phase(phase), f"ideal HU: {_hu_line(case)}", pictures))
    return Section(
        "phases",
        "Contrast phases",
        "One anatomy, four draws of the phase. HU are drawn together: arteries share one enhancement, veins another.",
        (Group(tuple(panels)),),
    )


def show_specials(maker: CaseMaker) -> Section:
    """One case for each unusual finding."""
    panels = []
    for special in (name for name in SPECIALS if name != "ordinary"):
        kind = "malignant" if special in ("huge_tumor", "tiny_tumor") else "random"
        phase = "none" if special == "no_contrast" else "nephrographic"
        for number in range(60, 60 + _TRIES):
            case = maker.make(number, special=special, kind=kind, phase=phase)
            # Kidneys that leave no room for the finding stay ordinary.
            if case.record["phantom"]["special"] == special:
                break
        planes = body_planes(case, _focus_of(case, special))
        found = case.record["phantom"]["special"]
        title = say_name(special).capitalize() + ("" if found == special else " (not possible with these kidneys)")
        caption = f"{describe_tumor(case)}; {describe_grid(case)}"
        panels.append(Panel(title, caption, tuple(draw_hu(case, case.image, p) for p in planes)))
    return Section(
        "specials",
        "Unusual findings",
        "About one case in six has one of these; the rest are as above.",
        (Group(tuple(panels)),),
        columns=3,
    )


def _focus_of(case: PhantomCase, special: str) -> NDArray[np.bool_] | None:
    """Where an unusual finding shows; None where the tumor or the kidneys do."""
    if special == "metal":
        return np.asarray(case.image >= 3000)
    if special == "touching_kidneys":
        # What joins them lies in front of the spine.
        canal = np.argwhere(case.tissues == Tissue.SPINAL_CANAL)
        if len(canal):
            middle = int(np.median(canal[:, 2]))
            bridge = np.zeros(case.label.shape, bool)
            bridge[:, :, middle - 2 : middle + 3] = case.label[:, :, middle - 2 : middle + 3] > 0
            return bridge
    return None


def _ideal(case: PhantomCase) -> NDArray[np.float32]:
    if case.ideal_hu is None:
        raise ValueError("The case was made without its ideal HU; pass keep_ideal=True.")
    return case.ideal_hu


def _has_kidney(case: PhantomCase, side: int) -> bool:
    middle = case.label.shape[2] // 2
    half = case.label[:, :, :middle] if side < 0 else case.label[:, :, middle:]
    return bool(half.any())


def _hu_line(case: PhantomCase) -> str:
    shown = {
        "cortex": Tissue.KIDNEY_CORTEX, "medulla": Tissue.KIDNEY_MEDULLA, "aorta": Tissue.AORTA,
        "vena cava": Tissue.VENA_CAVA, "liver": Tissue.LIVER, "spleen": Tissue.SPLEEN,
    }  # fmt: skip
    return ", ".join(f"{name} {mean_hu(case, tissue)}" for name, tissue in shown.items())
