"""Lungs are found in chests, whole or cut, and in nothing else."""

import numpy as np
import pytest
from scipy import ndimage

from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import check_chest, find_lungs
from squeezect.preparation.lungs import LungFigures
from squeezect.scan import Grid, Scan


def codes(scan):
    return [finding.code.name for finding in check_chest(scan)[1]]


def part(scan, z=slice(None), y=slice(None), x=slice(None)):
    """A box of a scan."""
    hu = scan.hu[z, y, x]
    return Scan(hu, scan.grid.crop(tuple(s.start or 0 for s in (z, y, x)), hu.shape))


def axes_mm(shape, spacing):
    lines = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return np.meshgrid(*lines, indexing="ij")


def ball(axes, centre, radii):
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) < 1


@pytest.fixture(scope="module")
def chest():
    return thorax(3, grid=chest_grid(3, spacing_mm=2.5, thickness_mm=3.0))


@pytest.fixture(scope="module")
def lung_mask(chest):
    """The lungs of the chest, on the scan's own grid."""
    mask = find_lungs(chest[0]).mask
    return ndimage.zoom(mask, np.divide(chest[0].hu.shape, mask.shape), order=0, output=bool)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("thickness_mm", [1.5, 5.0])
def test_the_volume_is_the_truth_less_its_vessels(seed, thickness_mm):
    grid = chest_grid(seed, spacing_mm=2.5, thickness_mm=thickness_mm)
    scan, truth = thorax(seed, grid=grid)
    figures, findings = check_chest(scan)
    assert findings == ()
    assert 0.85 * truth.lung_volume_l < figures.volume_l < 1.02 * truth.lung_volume_l
    assert figures.left_l + figures.right_l == pytest.approx(figures.volume_l)
    assert 0.7 < figures.left_l / figures.right_l < 1.3


def test_the_box_holds_the_lungs_and_not_much_more(chest):
    scan, _ = chest
    figures = find_lungs(scan).figures
    start, stop = np.array(figures.start), np.array(figures.stop)
    extent_mm = (stop - start) * scan.grid.spacing_mm
    assert (extent_mm > 100).all()
    assert (extent_mm < np.array(scan.grid.size_mm) - 30).all()


def test_a_margin_stays_inside_the_scan():
    figures = LungFigures(4.0, 2.0, 2.0, (), (5, 10, 10), (95, 90, 90))
    grid = Grid((100, 100, 100), (2.0, 1.0, 1.0))
    assert figures.box(grid, margin_mm=4) == ((3, 6, 6), (94, 88, 88))
    assert figures.box(grid, margin_mm=1000) == ((0, 0, 0), (100, 100, 100))


def test_left_is_the_patients_left(chest, lung_mask):
    scan, _ = chest
    figures = find_lungs(scan).figures
    hu = scan.hu.copy()
    hu[..., hu.shape[2] // 2 :][lung_mask[..., hu.shape[2] // 2 :]] = 30
    filled, findings = check_chest(Scan(hu, scan.grid))
    assert filled.left_l < 0.05
    assert filled.right_l == pytest.approx(figures.right_l, rel=0.05)
    assert [finding.code.name for finding in findings] == ["one-lung"]


@pytest.mark.parametrize(
    ("cut", "code"),
    [
        ({"z": slice(0, 65)}, "lungs-cut-top"),
        ({"z": slice(35, None)}, "lungs-cut-bottom"),
        ({"x": slice(35, None)}, "lungs-cut-side"),
        ({"x": slice(0, 105)}, "lungs-cut-side"),
    ],
)
def test_lungs_cut_by_the_field_are_named(chest, cut, code):
    scan, _ = chest
    assert code in codes(part(scan, **cut))
    assert code not in codes(scan)


def test_a_narrow_field_cuts_the_sides_but_loses_no_lung_inside(chest, lung_mask):
    scan, _ = chest
    _, y, x = axes_mm(scan.grid.shape, scan.grid.spacing_mm)
    beyond = np.hypot(y, x) > 100
    narrow = Scan(np.where(beyond, np.int16(-1024), scan.hu), scan.grid)
    figures, findings = check_chest(narrow)
    assert [finding.code.name for finding in findings] == ["lungs-cut-side"]
    inside_l = (lung_mask & ~beyond).sum() * np.prod(scan.grid.spacing_mm) / 1e6
    assert figures.volume_l == pytest.approx(inside_l, rel=0.1)


def test_emphysema_is_still_lung(chest, lung_mask):
    scan, _ = chest
    wide = ndimage.binary_dilation(lung_mask, iterations=2) & (scan.hu < -500)
    hu = np.where(wide, np.maximum(scan.hu - 90, -1024), scan.hu).astype(np.int16)
    sick, findings = check_chest(Scan(hu, scan.grid))
    assert findings == ()
    assert sick.volume_l == pytest.approx(find_lungs(scan).figures.volume_l, rel=0.05)


def test_a_child_is_refused_and_a_giant_warned_of(chest):
    scan, _ = chest
    small, large = (
        Scan(scan.hu, Grid(scan.grid.shape, tuple(s * factor for s in scan.grid.spacing_mm)))
        for factor in (0.5, 1.4)
    )
    assert codes(small) == ["no-lungs"]
    assert codes(large) == ["lung-volume"]


SHAPE, SPACING = (70, 110, 110), (3.5, 3.5, 3.5)


def made_of(paint):
    """A scan of simple shapes in air, with noise."""
    axes = axes_mm(SHAPE, SPACING)
    hu = np.full(SHAPE, -1000.0)
    paint(hu, axes)
    hu += np.random.default_rng(0).normal(0, 25, SHAPE)
    return Scan(np.rint(hu).clip(-1024, 3071).astype(np.int16), Grid(SHAPE, SPACING))


def head(hu, axes):
    hu[ball(axes, (0, 0, 0), (100, 95, 75))] = 1000
    hu[ball(axes, (0, 0, 0), (93, 88, 68))] = 35
    for centre in ((-40, -60, 15), (-40, -60, -15), (-40, -20, 0)):
        hu[ball(axes, centre, (18, 18, 12))] = -1000


def legs(hu, axes):
    for side in (-1, 1):
        away = np.hypot(axes[1], axes[2] - side * 90)
        hu[away < 70] = 50
        hu[away < 15] = 900


def abdomen(hu, axes):
    hu[np.hypot(axes[1] / 120, axes[2] / 170) < 1] = 45
    for centre in ((0, -60, 0), (30, -50, 60), (-40, -40, -70), (-60, -30, 80)):
        hu[ball(axes, centre, (40, 28, 30))] = -1000
    hu[ball(axes, (0, 0, -120), (90, 25, 25))] = -600


def legs_on_a_cushion(hu, axes):
    legs(hu, axes)
    hu[(axes[1] > 75) & (axes[1] < 150) & (np.abs(axes[2]) < 150)] = -850


def water(hu, axes):
    hu[:] = 0


def air(hu, axes):
    hu[:] = -1000


@pytest.mark.parametrize("paint", [head, legs, abdomen, legs_on_a_cushion, water, air])
def test_what_is_no_chest_is_refused(paint):
    figures, findings = check_chest(made_of(paint))
    assert [finding.code.name for finding in findings] == ["no-lungs"]
    assert findings[0].severity == "refuse"
    assert figures.volume_l < 0.5


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 3, 4), (1, 1, 1)])
def test_tiny_scans_are_refused_not_broken(shape):
    hu = np.full(shape, -800, np.int16)
    assert codes(Scan(hu, Grid(shape, (5.0, 0.7, 0.7)))) == ["no-lungs"]


@pytest.mark.real
@pytest.mark.parametrize(("name", "volume_l"), [("lidc-idri-0001", 3.60), ("lidc-idri-0132", 4.94)])
def test_real_lungs(name, volume_l, real_data):
    """Volumes of masks that were looked at; thinning to every third slice changes them little."""
    from squeezect.reading import read_scan

    scan = read_scan(real_data(name))
    figures, findings = check_chest(scan)
    assert findings == ()
    assert figures.volume_l == pytest.approx(volume_l, rel=0.03)
    sz, sy, sx = scan.grid.spacing_mm
    hu = scan.hu[1::3]
    thick = Scan(hu, Grid(hu.shape, (3 * sz, sy, sx)))
    assert find_lungs(thick).figures.volume_l == pytest.approx(volume_l, rel=0.05)


@pytest.mark.real
def test_a_real_abdomen_is_refused(real_data):
    from squeezect.reading import read_scan

    scan = read_scan(real_data("lidc-idri-0132"))
    bases = find_lungs(scan).figures.start[0]
    assert codes(part(scan, z=slice(0, bases + 12))) == ["no-lungs"]
