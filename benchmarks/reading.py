"""Reading against its peers: who returns a wrong volume and does not say so, and who is faster.

    python -m benchmarks.reading OUT [--runs 7]

Each trap is a series whose Hounsfield units are a linear function of the place, written as DICOM
with one habit of scanners, archives or accidents. So every voxel of a returned volume can be
checked: it has the value of the place where the volume says it is, or the volume is silently wrong.
Peers are used as their documentation shows. With SQUEEZECT_DATA set, real edge cases are read as
well, and the speed is that on a real scan; else it is that on a synthetic one.
"""

import contextlib
import io
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from benchmarks.alternate import Seconds, alternate
from benchmarks.material import arguments, find_scan, scan_name
from benchmarks.rows import against, write
from scipy import ndimage

from squeezect.errors import SqueezeCTError
from squeezect.phantom import DicomStyle, write_dicom
from squeezect.reading import read_scan
from squeezect.scan import Acquisition, Grid, Scan

STYLES = {
    "plain series": DicomStyle(),
    "file names in another order": DicomStyle(shuffle=1),
    "slope and intercept differ per slice": DicomStyle(slope=0.5, slope_per_slice=True),
    "stored unsigned": DicomStyle(unsigned=True),
    "MONOCHROME1": DicomStyle(monochrome1=True),
    "SliceThickness is wrong": DicomStyle(thickness_mm=1.0),
    "one slice missing": DicomStyle(drop=(20,)),
    "three slices missing": DicomStyle(drop=(20, 21, 22)),
    "one slice twice": DicomStyle(repeat=(15,)),
    "one slice twice, differing": DicomStyle(repeat=(15,), repeat_changed=True),
    "one slice displaced by half its spacing": DicomStyle(displace_mm=((18, 1.9),)),
    "gantry tilted by 15 degrees": DicomStyle(tilt_deg=15.0),
    "outside of the field is -2000": DicomStyle(padding=-2000),
    "JPEG-LS": DicomStyle(syntax="jpeg-ls"),
    "JPEG 2000": DicomStyle(syntax="jpeg-2000"),
}
RAMP = np.array([2.0, -3.0, 1.5])
TOLERANCE_HU = 2.0
"""Rounding and linear interpolation stay below 1; a shift of 1.9 mm along z makes 2.9."""


@dataclass
class Volume:
    """What a reader returned: values [z, y, x] and where voxel centres are."""

    values: np.ndarray
    grid: Grid


def ours(folder: Path) -> Volume:
    scan = read_scan(folder)
    return Volume(scan.hu, scan.grid)


def simpleitk(folder: Path) -> Volume:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    return _of(sitk.GetArrayFromImage(image), image.GetSpacing(), image.GetOrigin(), image)


def _of(values: np.ndarray, spacing: tuple, origin: tuple, image: object) -> Volume:
    direction = np.array(image.GetDirection()).reshape(3, 3)  # type: ignore[attr-defined]
    flips = [round(float(direction[i, i])) for i in range(3)]
    corner = np.array(origin, float)
    for axis, flip in enumerate(flips):
        if flip < 0:
            corner[axis] -= (values.shape[2 - axis] - 1) * spacing[axis]
            values = np.flip(values, 2 - axis)
    z, y, x = values.shape
    return Volume(values, Grid((z, y, x), tuple(map(float, spacing[::-1])), tuple(corner.tolist())))


def monai_itk(folder: Path) -> Volume:
    return _monai(folder, "ITKReader")


def monai_pydicom(folder: Path) -> Volume:
    return _monai(folder, "PydicomReader")


def _monai(folder: Path, reader: str) -> Volume:
    from monai.transforms import LoadImage

    image = LoadImage(reader=reader, image_only=True, ensure_channel_first=True)(folder)
    affine = np.asarray(image.affine, float)
    values = np.asarray(image)[0].transpose(2, 1, 0)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.diag(to_lps)[:3]
    corner = to_lps[:3, 3].copy()
    for axis in range(3):
        if spacing[axis] < 0:
            corner[axis] += (values.shape[2 - axis] - 1) * spacing[axis]
            values = np.flip(values, 2 - axis)
    z, y, x = values.shape
    steps = tuple(np.abs(spacing[::-1]).tolist())
    return Volume(values, Grid((z, y, x), steps, tuple(corner.tolist())))


READERS: dict[str, Callable[[Path], Volume]] = {
    "SqueezeCT": ours,
    "SimpleITK": simpleitk,
    "MONAI ITKReader": monai_itk,
    "MONAI PydicomReader": monai_pydicom,
}


def ramp(points_mm: np.ndarray) -> np.ndarray:
    """Hounsfield units at world points."""
    return np.asarray(points_mm) @ RAMP - 100.0


def judge(volume: Volume) -> str:
    """Whether every voxel has the value of its place, the edge and padding left out."""
    grid = volume.grid
    if min(grid.spacing_mm) <= 0 or min(volume.values.shape) < 2:
        return "silently wrong (geometry)"
    index = np.argwhere(ndimage.binary_erosion(volume.values > -1024, iterations=2))
    error = np.abs(volume.values[tuple(index.T)].astype(float) - ramp(grid.to_mm(index)))
    wrong = float((error > TOLERANCE_HU).mean())
    if wrong > 0.005:
        return f"silently wrong ({100 * wrong:.0f} % of voxels)"
    return "right"


def outcome(reader: Callable[[Path], Volume], folder: Path, *, known: bool) -> str:
    told = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(told):
            warnings.simplefilter("ignore")
            volume = reader(folder)
    except SqueezeCTError as error:
        return f"refused: {error.code}"
    except Exception as error:  # noqa: BLE001 - what peers raise is what is measured
        return f"error: {type(error).__name__}"
    if not known:
        return f"a volume of {' x '.join(map(str, volume.values.shape))}"
    return judge(volume)


def ramp_scan(style: DicomStyle, *, sign: float = 1.0) -> Scan:
    """A scan whose voxels have the value of the place that the style writes them to."""
    grid = Grid((40, 60, 64), (4.0, 4.5, 4.5), (-140.0, -130.0, -160.0))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    points = grid.to_mm(index)
    for number, away in style.displace_mm:
        points[number, ..., 2] += away
    angle = np.deg2rad(style.tilt_deg)
    down = index[..., 1] * grid.spacing_mm[1]
    points[..., 1] += down * (np.cos(angle) - 1)
    points[..., 2] -= down * np.sin(angle)
    hu = np.rint(sign * ramp(points)).astype(np.int16)
    return Scan(hu, grid, Acquisition(source_format="phantom"), identity="abcdef")


def traps(folder: Path) -> list[tuple[str, Path]]:
    found = []
    for name, style in STYLES.items():
        place = folder / name.replace(" ", "-")
        write_dicom(ramp_scan(style), place, style)
        found.append((name, place))
    both = folder / "two-series"
    one, two = DicomStyle(series=1), DicomStyle(series=2)
    write_dicom(ramp_scan(one), both, one)
    for number, path in enumerate(write_dicom(ramp_scan(two, sign=-1.0), folder / "other", two)):
        shutil.copy(path, both / f"other{number:04d}.dcm")
    return [*found, ("two series in one folder", both)]


def speed(folder: Path, runs: int) -> Seconds:
    """Alternating runs of both readers, all of our checks on."""
    place = next(path.parent for path in sorted(folder.rglob("*.dcm")))
    methods = {"SqueezeCT": lambda: ours(folder), "SimpleITK": lambda: simpleitk(place)}
    return alternate(methods, runs=runs)


def measure(runs: int) -> tuple[list[dict[str, str]], Seconds]:
    """What every reader makes of every input, and seconds on a scan."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = []
        for what, place in traps(folder / "traps"):
            told = {n: outcome(r, place, known=True) for n, r in READERS.items()}
            rows.append({"input": what} | told)
        edge = Path(os.environ.get("SQUEEZECT_DATA", "")) / "dicom-edge-cases.zip"
        if edge.is_file():
            real = folder / "real"
            zipfile.ZipFile(edge).extractall(real)
            for place in sorted(p for p in real.iterdir() if p.is_dir()):
                told = {n: outcome(r, place, known=False) for n, r in READERS.items()}
                rows.append({"input": f"{place.name} (real)"} | told)
        return rows, speed(find_scan(folder / "scan"), runs)


def as_markdown(readers: list[dict[str, str]]) -> list[str]:
    names = list(READERS)
    return [
        "## Who is right",
        "",
        "Series whose values are a linear function of the place, written with one habit each; then "
        "folders of other projects that break readers, of which it is only said what came back. "
        "*Silently wrong* is a volume with voxels that do not have the value of the place where "
        "the volume says they are, and no error.",
        "",
        "| input | " + " | ".join(names) + " |",
        "|" + " --- |" * (len(names) + 1),
        *("| " + " | ".join([row["input"], *(row[n] for n in names)]) + " |" for row in readers),
    ]


def main() -> None:
    options = arguments(__doc__)
    readers, seconds = measure(options.runs)
    rows = against(seconds, "SqueezeCT", f"reading a DICOM series, {scan_name()}", {})
    write(
        options.out,
        "reading",
        rows,
        seconds={"reading": seconds},
        details={"readers": readers},
        text=as_markdown(readers),
    )


if __name__ == "__main__":
    main()
