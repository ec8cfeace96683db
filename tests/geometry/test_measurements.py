"""Sizes and places against analytic bodies and SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from nephro_monai.geometry import (
    body_midline_x,
    largest_diameter_mm,
    measure_kidneys,
    measure_tumors,
    shape_statistics,
    spacing_mm,
)

AFFINE = np.array([[0.8, 0, 0, -60.0], [0, 0.8, 0, -80.0], [0, 0, 2.0, 300.0], [0, 0, 0, 1]])
SHAPE = (150, 120, 60)
MIDLINE = 74.5


def _ellipsoid(center_mm, radii_mm, shape=SHAPE, affine=AFFINE):
    x, y, z = np.ogrid[tuple(slice(n) for n in shape)]
    offset = affine[:3, 3] - center_mm
    distances = [
        (row[0] * x + row[1] * y + row[2] * z + o) / r for row, o, r in zip(affine[:3], offset, radii_mm, strict=True)
    ]
    return sum(distance**2 for distance in distances) <= 1


@pytest.mark.parametrize(
    ("center", "radii"),
    [((0, -30, 350), (20, 20, 20)), ((10.3, -41.7, 361), (30, 18, 40)), ((-20, -30, 350), (6, 6, 6))],
)
def test_volume_center_and_diameter_of_ellipsoids(center, radii):
    mask = _ellipsoid(center, radii)
    found = shape_statistics(mask, AFFINE)
    assert found.volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(radii) / 1000, rel=0.03)
    np.testing.assert_allclose(found.center_mm, center, atol=0.3)
    np.testing.assert_allclose(AFFINE @ (*found.center_voxel, 1), (*found.center_mm, 1))
    assert largest_diameter_mm(mask, spacing_mm(AFFINE)) == pytest.approx(2 * max(radii), abs=2.5)


def test_a_crop_gives_the_same_as_the_whole():
    mask = _ellipsoid((0, -30, 350), (20, 15, 20))
    whole = shape_statistics(mask, AFFINE)
    crop = shape_statistics(mask[30:120, 20:100, 5:55], AFFINE, (30, 20, 5))
    np.testing.assert_allclose(crop.center_mm, whole.center_mm)
    assert crop.volume_ml == whole.volume_ml
    with pytest.raises(ValueError, match="empty mask"):
        shape_statistics(np.zeros((3, 3, 3)), AFFINE)


@pytest.mark.parametrize("seed", range(4))
def test_the_diameter_is_simpleitks(seed):
    generator = np.random.default_rng(seed)
    spacing = tuple(float(value) for value in generator.uniform(0.5, 3, 3))
    mask = generator.random((16, 18, 12)) > 0.5 + 0.13 * seed
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8).transpose(2, 1, 0))
    image.SetSpacing(spacing)
    statistics = SimpleITK.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOn()
    statistics.Execute(image)
    assert largest_diameter_mm(mask, spacing) == pytest.approx(statistics.GetFeretDiameter(1), abs=1e-6)


def test_diameters_of_points_lines_and_planes():
    mask = np.zeros((30, 40, 10), bool)
    mask[3, 4, 5] = True
    assert largest_diameter_mm(mask, (1, 1, 1)) == 0
    mask[3, 4:14, 5] = True
    assert largest_diameter_mm(mask, (1, 0.5, 1)) == pytest.approx(4.5)
    plane = np.zeros((30, 400, 10), bool)
    plane[3, :300, 2:5] = True
    assert largest_diameter_mm(plane, (1, 1, 2)) == pytest.approx(np.hypot(299, 4))
    plane[3:8, :300, 2] = True
    flat = np.zeros((200, 200, 10), bool)
    flat[:150, :120, 4] = True
    assert largest_diameter_mm(flat, (1, 1, 2)) == pytest.approx(np.hypot(149, 119))


def test_spacing_of_a_turned_affine():
    angle = np.deg2rad(30)
    turned = AFFINE.copy()
    turned[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]] @ AFFINE[:3, :3]
    np.testing.assert_allclose(spacing_mm(turned), (0.8, 0.8, 2.0))
    mask = _ellipsoid((0, -30, 350), (15, 15, 20), affine=turned)
    np.testing.assert_allclose(shape_statistics(mask, turned).center_mm, (0, -30, 350), atol=0.4)


class TestMidline:
    @staticmethod
    def _body(center_x, half_width=45):
        image = np.full((160, 100, 12), -1000, np.float32)
        x, y = np.meshgrid(np.arange(160), np.arange(100), indexing="ij")
        image[((x - center_x) / half_width) ** 2 + ((y - 50) / 35) ** 2 < 1] = 40
        return image

    def test_follows_the_body_not_the_picture(self):
        affine = np.diag([1.0, 1.0, 3.0, 1.0])
        for center in (60, 80, 100):
            assert body_midline_x(self._body(center), affine) == pytest.approx(center, abs=2)

    def test_a_table_beside_the_body_weighs_little(self):
        image = self._body(70)
        image[60:158, 4:8] = 100
        assert body_midline_x(image, np.diag([1.0, 1.0, 3.0, 1.0])) == pytest.approx(70, abs=3)

    def test_without_a_body_it_is_the_middle(self):
        assert body_midline_x(np.full((160, 100, 12), -1000.0), np.eye(4)) == 79.5


def _two_kidneys():
    labels = np.zeros(SHAPE, np.uint8)
    labels[_ellipsoid((40, -30, 350), (14, 16, 40))] = 1  # right: larger x
    labels[_ellipsoid((-40, -30, 360), (12, 14, 35))] = 1
    return labels


def test_two_kidneys_with_sides_and_volumes():
    right, left = measure_kidneys(_two_kidneys(), AFFINE, MIDLINE)
    assert (right.side, left.side) == ("right", "left")
    assert right.volume_ml == pytest.approx(4 / 3 * np.pi * 14 * 16 * 40 / 1000, rel=0.03)
    np.testing.assert_allclose(left.center_mm, (-40, -30, 360), atol=0.4)
    low = AFFINE @ (right.box.xmin, right.box.ymin, right.box.zmin, 1)
    np.testing.assert_allclose(low[:3], (40 - 14, -30 - 16, 350 - 40), atol=2.01)


def test_the_tumor_counts_for_the_box_but_not_for_the_kidney():
    labels = _two_kidneys()
    labels[_ellipsoid((55, -30, 350), (15, 15, 15))] = 2
    right, _ = measure_kidneys(labels, AFFINE, MIDLINE)
    assert right.volume_ml == pytest.approx((labels[75:] == 1).sum() * 1.28 / 1000)
    assert right.box.xmax > measure_kidneys(_two_kidneys(), AFFINE, MIDLINE)[0].box.xmax


def test_specks_are_no_kidneys_and_one_side_has_at_most_two():
    labels = _two_kidneys()
    labels[0:4, 0:4, 0:4] = 1
    assert len(measure_kidneys(labels, AFFINE, MIDLINE)) == 2
    for x in (95, 110, 125):
        labels[x : x + 12, 5:35, 2:25] = 1
    sides = [kidney.side for kidney in measure_kidneys(labels, AFFINE, MIDLINE)]
    assert sides == ["right", "right", "left"]
    assert measure_kidneys(np.zeros(SHAPE, np.uint8), AFFINE, MIDLINE) == []


def test_touching_kidneys_are_two():
    labels = _two_kidneys()
    labels[_ellipsoid((0, -30, 330), (45, 6, 6))] = 1
    kidneys = measure_kidneys(labels, AFFINE, MIDLINE)
    assert [kidney.side for kidney in kidneys] == ["right", "left"]
    assert sum(kidney.volume_ml for kidney in kidneys) == pytest.approx((labels == 1).sum() * 1.28 / 1000)
    assert kidneys[0].box.xmin == kidneys[1].box.xmax


def test_one_kidney():
    labels = _two_kidneys()
    labels[:75] = 0
    (kidney,) = measure_kidneys(labels, AFFINE, MIDLINE)
    assert kidney.side == "right"


def test_tumors_by_size_with_the_side_of_their_kidney():
    labels = _two_kidneys()
    labels[_ellipsoid((5, -30, 350), (25, 20, 20))] = 2  # from the right kidney over the midline
    labels[_ellipsoid((-50, -30, 360), (9, 9, 9))] = 2
    labels[_ellipsoid((-30, -30, 380), (2, 2, 2))] = 2  # 0.03 ml
    large, small = measure_tumors(labels, AFFINE, MIDLINE + 12)
    assert (large.index, large.side, small.index, small.side) == (1, "right", 2, "left")
    assert large.center_mm[0] < 5 + 12 * 0.8  # its own center lies left of that midline
    assert large.volume_ml == pytest.approx(4 / 3 * np.pi * 25 * 20 * 20 / 1000, rel=0.03)
    assert small.largest_diameter_mm == pytest.approx(18, abs=2)
    assert len(measure_tumors(labels, AFFINE, MIDLINE, min_tumor_ml=0.0)) == 3
    assert measure_tumors(_two_kidneys(), AFFINE, MIDLINE) == []


def test_a_tumor_without_a_kidney_goes_by_its_own_place():
    labels = np.zeros(SHAPE, np.uint8)
    labels[_ellipsoid((-40, -30, 350), (20, 20, 20))] = 2
    (tumor,) = measure_tumors(labels, AFFINE, MIDLINE)
    assert tumor.side == "left"
