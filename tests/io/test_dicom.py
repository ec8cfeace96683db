"""DICOM series as scanners and archives leave them."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless, generate_uid

from nephro_monai.errors import ScanError
from nephro_monai.io import find_cases, load_scan, save_label_map


@pytest.fixture
def volume():
    """(8, 40, 36) HU: slices, rows, columns."""
    return np.random.default_rng(5).integers(-1000, 1500, (8, 40, 36)).astype(np.int16)


def _native(volume):
    """Slices, rows, columns (head first, supine) as an R-A-S array."""
    return volume.transpose(2, 1, 0)[::-1, ::-1]


def test_values_and_places(write_series, volume):
    image, scan = load_scan(write_series(volume))
    assert (scan.format, scan.native_shape, scan.native_axcodes, scan.notes) == ("dicom", (36, 40, 8), "LPS", ())
    np.testing.assert_array_equal(image[0].numpy(), _native(volume))
    # First pixel of the first slice: ImagePositionPatient (-10, 20, 30) is LPS.
    voxel = np.linalg.inv(image.affine.numpy()) @ (10, -20, 30, 1)
    np.testing.assert_allclose(voxel[:3], (35, 39, 0), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, :3].numpy(), axis=0), (0.9, 0.7, 2.5))


def test_agrees_with_itks_own_series_reader(write_series, volume, tmp_path):
    folder = write_series(volume, orientation=(0.9962, 0.0872, 0, -0.0872, 0.9962, 0))
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    SimpleITK.WriteImage(SimpleITK.ReadImage(names), str(tmp_path / "itk.nii.gz"))
    image, scan = load_scan(folder)
    save_label_map(image > 100, scan, tmp_path / "out.nii.gz")
    reference, saved = nib.load(tmp_path / "itk.nii.gz"), nib.load(tmp_path / "out.nii.gz")
    np.testing.assert_allclose(saved.affine, reference.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(saved.dataobj), np.asarray(reference.dataobj) > 100)


@pytest.mark.parametrize("step", [(0, 0, 2.5), (0, 0, -2.5)])
def test_slices_are_ordered_by_position_not_by_name(write_series, volume, step):
    names = [f"IMG{i}" for i in np.random.default_rng(6).permutation(8)]
    image, _ = load_scan(write_series(volume, names=names, step=step))
    np.testing.assert_array_equal(image[0].numpy(), _native(volume if step[2] > 0 else volume[::-1]))


@pytest.mark.parametrize("rescale", [(1.0, -1024.0), (2.0, -1000.0), (0.5, -1000.0), (1.0, 0.0)])
def test_rescale_is_applied(write_series, volume, rescale):
    shifted = volume // 2 * 2 if rescale[1] else np.abs(volume)
    image, _ = load_scan(write_series(shifted, rescale=rescale))
    np.testing.assert_allclose(image[0].numpy(), _native(shifted), atol=1e-3)


def test_rescale_may_differ_between_slices(write_series, volume):
    def finish(data, index):
        data.RescaleIntercept = str(-1024 + index)

    image, _ = load_scan(write_series(volume, finish=finish))
    np.testing.assert_array_equal(image[0].numpy(), _native(volume + np.arange(8)[:, None, None]))


def test_rle_compressed(write_series, volume):
    folder = write_series(volume, finish=lambda data, _: data.compress(RLELossless, generate_instance_uid=False))
    np.testing.assert_array_equal(load_scan(folder)[0][0].numpy(), _native(volume))


@pytest.mark.parametrize(("compressor", "syntax"), [("JPEG", JPEGLosslessSV1), ("JPEG2000", JPEG2000Lossless)])
def test_lossless_jpeg(write_series, volume, tmp_path, compressor, syntax):
    def finish(data, index):
        """Encodes the stored pixels with GDCM and puts its code stream into the slice."""
        stored = np.frombuffer(data.PixelData, np.uint16).reshape(data.Rows, data.Columns)
        writer = SimpleITK.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(tmp_path / "encoded.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(SimpleITK.GetImageFromArray(stored))
        encoded = pydicom.dcmread(tmp_path / "encoded.dcm")
        assert encoded.file_meta.TransferSyntaxUID == syntax
        data.PixelData = encoded.PixelData
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.file_meta.TransferSyntaxUID = syntax

    image, _ = load_scan(write_series(volume, finish=finish))
    np.testing.assert_array_equal(image[0].numpy(), _native(volume))


def test_the_largest_axial_series_is_read_and_the_choice_noted(write_series, volume, tmp_path):
    study = generate_uid()
    write_series(volume[:5], "s", number=2, description="thick", study=study)
    write_series(volume, "s", number=3, description="thin", study=study)
    write_series(
        np.tile(volume, (2, 1, 1)), "s", number=4, orientation=(1, 0, 0, 0, 0, -1), step=(0, 2, 0), study=study
    )
    write_series(volume[:1], "s", number=1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), study=study)
    write_series(np.tile(volume, (3, 1, 1)), "s", number=5, modality="PT", study=study)
    image, scan = load_scan(tmp_path / "s")
    np.testing.assert_array_equal(image[0].numpy(), _native(volume))
    (note,) = scan.notes
    assert "series 3 (thin) with 8 slices" in note
    assert "series 2 (thick) with 5 slices" in note


def test_nested_folders_and_foreign_files(write_series, volume, tmp_path):
    write_series(volume, "top/a/b")
    (tmp_path / "top" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "top" / "readme.txt").write_text("hello")
    (tmp_path / "top" / "a" / "broken.dcm").write_bytes(b"not dicom")
    image, scan = load_scan(tmp_path / "top")
    np.testing.assert_array_equal(image[0].numpy(), _native(volume))
    assert any("1 damaged" in note for note in scan.notes)
    assert [case.path for case in find_cases([tmp_path / "top"])] == [str(tmp_path / "top" / "a")]


def test_no_name_of_the_patient_gets_into_the_scan(write_series, volume):
    _, scan = load_scan(write_series(volume))
    assert "Doe" not in str(scan)
    assert "secret" not in str(scan)


def _color(data, _):
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = b"\0" * (3 * data.Rows * data.Columns)
    data["PixelData"].VR = "OB"


def _without(name):
    return lambda data, _: delattr(data, name)


def _second_half_moved(data, index):
    if index >= 4:
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x + 5, y, z]


BAD = {
    "missing slice": ({"skip": (4,)}, r"1 slice is missing \(5.0 mm between z 37.5 and 42.5 mm, elsewhere 2.5 mm\)"),
    "missing slices": ({"skip": (3, 5)}, "2 slices are missing"),
    "gantry tilt": ({"orientation": (1, 0, 0, 0, 0.9659, -0.2588)}, "tilted by 15.0 degrees.*gantry tilt"),
    "no CT": ({"modality": "MR", "rescale": (1.0, -1024.0)}, "no CT series.*8 MR"),
    "only scouts": ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "scout"),
    "sagittal": ({"orientation": (0, 1, 0, 0, 0, -1), "step": (2.5, 0, 0)}, "no axial CT series"),
    "two phases": ({"step": (0, 0, 0)}, "7 slice positions occur more than once"),
    "uneven steps": (
        {"finish": lambda d, i: setattr(d, "ImagePositionPatient", [0, 0, i * 2.5 + 0.9 * (i > 5)])},
        "slice distance varies from 2.5 to 3.4 mm",
    ),
    "shifted sideways": ({"finish": _second_half_moved}, "shifted sideways|gantry tilt"),
    "color": ({"finish": _color}, "color"),
    "no positions": ({"finish": _without("ImagePositionPatient")}, "lacks positions"),
    "no orientation": ({"finish": _without("ImageOrientationPatient")}, "without orientation"),
    "enhanced CT": ({"finish": lambda d, i: setattr(d, "NumberOfFrames", 4)}, "many frames"),
    "zero spacing": ({"spacing": (0, 0.7)}, "none may be zero"),
    "pixel data cut off": (
        {"finish": lambda d, i: setattr(d, "PixelData", d.PixelData[:100])},
        "fewer pixels than they should",
    ),
    "spacing changes": (
        {"finish": lambda d, i: setattr(d, "PixelSpacing", [0.7 + 0.1 * (i > 3), 0.9])},
        "differ in pixel",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_series_get_one_clear_line(write_series, volume, kind):
    options, words = BAD[kind]
    folder = write_series(volume, **options)
    with pytest.raises(ScanError, match=words) as caught:
        load_scan(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_folder_without_any_image(tmp_path, write_series, volume):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanError, match="no DICOM file"):
        load_scan(tmp_path / "empty")

    def to_report(data: Dataset, _index: int) -> None:
        data.Modality = "SR"
        for name in ("PixelData", "Rows", "Columns"):
            delattr(data, name)

    with pytest.raises(ScanError, match=r"no DICOM image.*8 SR"):
        load_scan(write_series(volume, "reports", finish=to_report))


def test_a_single_slice_and_a_stack_of_three(write_series, volume):
    with pytest.raises(ScanError, match="single slice"):
        load_scan(write_series(volume[:1], "one"))
    with pytest.raises(ScanError, match="3 axial slices"):
        load_scan(write_series(volume[:3], "three"))


def test_a_truncated_file_is_named(write_series, volume):
    folder = write_series(volume)
    path = sorted(folder.iterdir())[3]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ScanError, match=r"cannot be decoded.*Cannot read requested file") as caught:
        load_scan(folder)
    assert path.name in str(caught.value)
