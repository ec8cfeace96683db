"""Sections of the preview page about what comes after anatomy: scanner, second phase, CT made on the fly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from nephro_monai.phantom import (
    AcquisitionRanges,
    CTSynthesis,
    PhantomCase,
    SynthesisSettings,
    Tissue,
)
from nephro_monai.phantom.acquisition import add_metal
from nephro_monai.phantom.canvas import Grid
from nephro_monai.phantom.synthesis_acquisition import acquire_batch
from nephro_monai.reporting.phantom_planes import draw_hu, lesion_planes, spacing_mm
from nephro_monai.reporting.preview_parts import (
    CaseMaker,
    Group,
    Panel,
    Section,
    describe_grid,
    mean_hu,
    say_name,
    say_phase,
)

__all__ = ["show_acquisition", "show_on_the_fly", "show_second_phase"]

_NOTHING = AcquisitionRanges(
    blur_mm=(0.01, 0.01), thick_share=0.0, slice_overlap=(0.0, 0.0), noise_hu=(0.01, 0.01), noise_blur=(0.0, 0.0),
    band_passed_share=0.0, gain=0.0, offset_hu=0.0, streak_share=0.0,
)  # fmt: skip
"""A scanner that changes nothing, to switch single parts on."""
_PARTS = (
    ("Blur, low", "Gaussian, sigma 0.7 mm in plane", {"blur_mm": (0.7, 0.7)}),
    ("Blur, high", "Gaussian, sigma 1.7 mm in plane", {"blur_mm": (1.7, 1.7)}),
    ("Thick slices", "averaged over 5 mm, interpolated back", {"thickness_mm": (5.0, 5.0), "thick_share": 1.0}),
    ("White noise", "standard deviation 20 HU", {"noise_hu": (20.0, 20.0)}),
    ("Soft kernel", "20 HU, correlated over 0.95 pixels", {"noise_hu": (20.0, 20.0), "noise_blur": (0.95, 0.95)}),
    (
        "Sharp kernel",
        "20 HU, without low frequencies",
        {"noise_hu": (20.0, 20.0), "noise_blur": (0.5, 0.5), "band_passed_share": 1.0},
    ),
    ("Most noise", "38 HU", {"noise_hu": (38.0, 38.0), "noise_blur": (0.6, 0.6)}),
    ("Streaks", "standard deviation 14 HU, as arms leave them", {"streak_share": 1.0, "streak_hu": (14.0, 14.0)}),
)
_DIFFERENCE_WINDOW_HU = (-150.0, 150.0)
_PATCHES = 8


def show_acquisition(maker: CaseMaker) -> Section:
    """Ideal HU, then single parts of the scanner, then everything as drawn."""
    slices, rows, columns = maker.body_shape
    case = maker.make(50, kind="malignant", phase="arterial", shape=(2 * slices, rows, columns))
    ideal = np.asarray(case.ideal_hu, dtype=np.float32)
    planes = lesion_planes(case, 40, 150)

    def panel(title: str, caption: str, hu: NDArray) -> Panel:
        return Panel(title, caption, tuple(draw_hu(case, hu, plane) for plane in planes))

    panels = [panel("Ideal HU", describe_grid(case), ideal)]
    panels += [panel(title, caption, _acquired(case, ideal, settings)) for title, caption, settings in _PARTS]
    panels.append(panel("Metal", "one to three clips with stars of streaks", _with_metal(case, ideal, maker.seed)))
    fly = vars(SynthesisSettings.from_parameters(maker.parameters).acquisition)
    panels.append(panel("All, on the fly", "as drawn while a network trains", _acquired(case, ideal, fly)))
    panels.append(panel("All, as drawn", "what nephro phantom writes", case.image))
    return Section(
        "acquisition",
        "From ideal to acquired HU",
        "One patient, one part of the scanner at a time, at a bound of its range; axial above, coronal below.",
        (Group(tuple(panels)),),
    )


def _acquired(case: PhantomCase, ideal: NDArray[np.float32], settings: dict) -> NDArray[np.float32]:
    """HU after one part of the scanner, on the case's own grid."""
    thickness, row, column = spacing_mm(case)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.record["phantom"]["seed"][0])
        batch = torch.from_numpy(np.ascontiguousarray(ideal.transpose(2, 1, 0)))[None]
        made = acquire_batch(batch, (column, row, thickness), replace(_NOTHING, **settings))
    return made[0].numpy().transpose(2, 1, 0)


def _with_metal(case: PhantomCase, ideal: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Ideal HU with metal somewhere in the shown crop (the generator puts it anywhere in the body)."""
    image = ideal.copy()
    axial, _ = lesion_planes(case, 40, 150)
    spacing = spacing_mm(case)
    reach = max(4, round(8 / spacing[0]))
    near = image[max(0, axial.index - reach) : axial.index + reach, axial.rows, axial.columns]
    add_metal(near, near > -600, Grid(near.shape, spacing), np.random.default_rng(seed))
    return image


def show_second_phase(maker: CaseMaker) -> Section:
    """Two patients in two phases each, on the same grid."""
    panels = []
    for number, first, second in ((70, "none", "nephrographic"), (71, "arterial", "excretory")):
        case = maker.make(number, kind="malignant", phase=first, second_phase=second)
        other = np.asarray(case.second_image)
        difference = other.astype(np.float32) - case.image
        planes = lesion_planes(case, 40, 160)
        cortex = [float(np.median(hu[case.tissues == Tissue.KIDNEY_CORTEX])) for hu in (case.image, other)]
        captions = (
            f"cortex {cortex[0]:.0f} HU; {describe_grid(case)}; tumor {say_name(case.record['phantom']['subtype'])}",
            f"cortex {cortex[1]:.0f} HU; same anatomy and texture, noise of its own",
            f"second minus first, window {_DIFFERENCE_WINDOW_HU[0]:.0f} to {_DIFFERENCE_WINDOW_HU[1]:.0f} HU",
        )
        pictures = (
            tuple(draw_hu(case, case.image, p) for p in planes),
            tuple(draw_hu(case, other, p) for p in planes),
            tuple(draw_hu(case, difference, p, _DIFFERENCE_WINDOW_HU) for p in planes),
        )
        titles = (say_phase(first), say_phase(second), "Difference")
        panels += [Panel(f"{number - 69}. {t}", c, p) for t, c, p in zip(titles, captions, pictures, strict=True)]
    return Section(
        "second-phase",
        "Second phase",
        "What enhances is drawn anew; fat, bone, bowel content and the places of necrosis, scars and fat stay.",
        (Group(tuple(panels)),),
        columns=6,
    )


def show_on_the_fly(maker: CaseMaker) -> Section:
    """Patches that `CTSynthesis` draws around one tissue map."""
    slices, rows, columns = maker.body_shape
    case = maker.make(80, kind="none", shape=(slices, (5 * rows) // 8, (5 * columns) // 8))
    thickness, row, column = spacing_mm(case)
    box = _kidney_box(case)
    anatomy = np.ascontiguousarray(case.tissues[box].transpose(2, 1, 0))
    settings = SynthesisSettings.from_parameters(maker.parameters, (column, row, thickness))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(maker.seed)
        made = CTSynthesis(settings).draw(torch.from_numpy(anatomy)[None, None].repeat(_PATCHES, 1, 1, 1, 1))
    panels = []
    for k in range(_PATCHES):
        hu, label, tissues = (t[k, 0].numpy().transpose(2, 1, 0) for t in (made.hu, made.label, made.tissues))
        drawn = replace(case, image=hu, label=label, tissues=tissues, ideal_hu=hu)
        look = made.looks[k]
        what = "no tumor" if look is None else f"{say_name(look.subtype)}, solid {look.solid_hu:.0f} HU"
        planes = lesion_planes(drawn, 1000, 0)
        caption = f"{what}; cortex {mean_hu(drawn, Tissue.KIDNEY_CORTEX)} HU"
        panels.append(Panel(say_phase(made.phases[k]), caption, tuple(draw_hu(drawn, hu, p) for p in planes)))
    return Section(
        "on-the-fly",
        "CT made while a network trains",
        f"CTSynthesis around one tissue map at {column:.1f} x {row:.1f} x {thickness:.1f} mm: phase, HU, masses, looks "
        "and scanner are drawn anew for every patch.",
        (Group(tuple(panels)),),
    )


def _kidney_box(case: PhantomCase, margin_mm: float = 25.0) -> tuple[slice, slice, slice]:
    """Index box around the kidneys with a margin."""
    inside = np.argwhere(case.label > 0)
    margin = np.ceil(margin_mm / np.array(spacing_mm(case))).astype(int)
    low = np.maximum(inside.min(axis=0) - margin, 0)
    high = np.minimum(inside.max(axis=0) + margin + 1, case.label.shape)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x
