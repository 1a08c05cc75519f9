"""LUNA16: points of flipped scans too, its own folds, and every way a row can be wrong."""

import numpy as np
import pytest

from squeezect.cohorts import make_folds, official_folds
from squeezect.cohorts.layouts import read_luna16
from squeezect.cohorts.layouts.headers import grid_of
from squeezect.errors import CohortError

BRIGHT = 300


def refusal(luna, **options):
    with pytest.raises(CohortError) as caught:
        read_luna16(luna.folder, **options)
    return caught.value.code, str(caught.value)


def test_candidates_are_rows_with_class_series_and_subset(luna):
    cohort = read_luna16(luna.folder)
    rows = luna.table("candidates")[1:]
    assert [c.row for c in cohort.cases] == list(range(1, len(rows) + 1))
    for case, (uid, x, y, z, label) in zip(cohort.cases, rows, strict=True):
        assert (case.series, case.patient, case.label) == (uid, uid, int(label))
        assert case.point_mm == (float(x), float(y), float(z))
        assert case.scan == luna.folder / f"subset{luna.subset[uid]}" / f"{uid}.mhd"
        assert case.fold == luna.subset[uid]


def test_headers_give_the_grid_flipped_scans_included(luna):
    flipped = 0
    for case in read_luna16(luna.folder).cases:
        grid = grid_of(case.scan)
        assert grid.isclose(luna.grids[case.series])
        flipped += grid.direction[2][0] < 0
    assert flipped


def test_annotated_points_hit_the_nodule_flipped_scans_included(luna):
    cohort = read_luna16(luna.folder, table="annotations")
    assert {c.series: c.point_mm for c in cohort.cases} == luna.nodules
    for case in cohort.cases:
        grid = grid_of(case.scan)
        hu = np.fromfile(case.scan.with_suffix(".raw"), "<i2").reshape(grid.shape)
        assert hu[tuple(np.rint(grid.to_index(case.point_mm)).astype(int))] == BRIGHT
        assert (case.label, case.diameter_mm) == (1, 6.5)


def test_excluded_findings_have_no_label_and_no_negative_diameter(luna):
    cohort = read_luna16(luna.folder, table="annotations_excluded")
    assert [c.label for c in cohort.cases] == [None] * 3
    assert [c.diameter_mm for c in cohort.cases] == [None, None, 6.5]


def test_scans_are_labelled_by_their_annotations(luna):
    cohort = read_luna16(luna.folder, table="scans")
    assert {c.series: c.label for c in cohort.cases} == {
        uid: int(uid in luna.nodules) for uid in luna.grids
    }
    assert all(c.point_mm is None for c in cohort.cases)


def test_tables_may_lie_in_their_own_folder_and_subsets_twice_deep(luna):
    plain = read_luna16(luna.folder)
    (luna.folder / "CSVFILES").mkdir()
    for path in luna.folder.glob("*.csv"):
        path.rename(luna.folder / "CSVFILES" / path.name)
    deep = luna.folder / "subset1" / "subset1"
    deep.mkdir()
    for path in (luna.folder / "subset1").glob("*.*"):
        path.rename(deep / path.name)
    moved = read_luna16(luna.folder)
    assert [c.fold for c in moved.cases] == [c.fold for c in plain.cases]
    assert moved.cases[-1] == plain.cases[-1]


def test_official_folds_test_on_one_subset_each(luna):
    cohort = read_luna16(luna.folder)
    folds = official_folds(cohort)
    for subset, fold in enumerate(folds.folds):
        assert {cohort.case(row).fold for row in fold.validation} == {subset}


def test_patients_come_from_a_table_and_group_the_folds(luna, tmp_path):
    uids = list(luna.grids)
    who = {uid: f"LIDC-{i // 2}" for i, uid in enumerate(uids)}  # two scans per patient
    table = tmp_path / "patients.csv"
    table.write_text("series,patient\n" + "".join(f"{u},{p}\n" for u, p in who.items()))
    for source in (who, table):
        cohort = read_luna16(luna.folder, patients=source)
        assert {c.series: c.patient for c in cohort.cases} == who
    folds = make_folds(cohort, folds=3)
    for fold in folds.folds:
        judged = {cohort.case(row).patient for row in fold.validation}
        assert not judged & {cohort.case(row).patient for row in fold.train + fold.tune}


def test_a_patient_in_two_subsets_is_found(luna):
    uids = list(luna.grids)
    cohort = read_luna16(
        luna.folder, patients=dict.fromkeys(uids[:5], "p") | {uid: uid for uid in uids[5:]}
    )
    with pytest.raises(CohortError, match="patient-in-two-parts"):
        official_folds(cohort)


def test_part_of_the_data_set_can_be_read(luna):
    whole = read_luna16(luna.folder)
    for path in (luna.folder / "subset1").iterdir():
        path.unlink()
    code, text = refusal(luna)
    assert code == "missing-scan"
    first = next(c for c in whole.cases if c.fold == 1)
    assert f"row {first.row} of candidates.csv" in text
    part = read_luna16(luna.folder, partial=True)
    assert part.cases == tuple(c for c in whole.cases if c.fold != 1)


def test_an_unknown_series_is_named_by_row(luna):
    luna.rewrite("candidates", lambda rows: [*rows[:3], ["9.9", *rows[3][1:]], *rows[4:]])
    for partial in (False, True):
        code, text = refusal(luna, partial=partial)
        assert code == "unknown-series"
        assert "row 3 of candidates.csv" in text


def test_a_series_without_patient_is_named_by_row(luna):
    uids = list(luna.grids)
    code, text = refusal(luna, patients=dict(zip(uids[1:], uids[1:], strict=True)))
    assert code == "unknown-series"
    assert "row 1 of candidates.csv" in text
    assert uids[0] not in text


def test_missing_voxels_are_named_by_row(luna):
    case = read_luna16(luna.folder).cases[4]
    case.scan.with_suffix(".raw").unlink()
    code, text = refusal(luna)
    assert code == "missing-scan"
    first = next(
        c for c in read_luna16(luna.folder, check_points=False).cases if c.series == case.series
    )
    assert f"row {first.row} of candidates.csv" in text


def test_a_broken_header_is_named_by_row(luna):
    case = read_luna16(luna.folder).cases[0]
    case.scan.write_text("nothing")
    code, text = refusal(luna)
    assert code == "bad-header"
    assert "row 1 of candidates.csv" in text


def test_points_outside_are_named_by_row_and_distance(luna):
    def shift(rows):
        rows[2][1] = str(float(rows[2][1]) + 100)
        return rows

    luna.rewrite("candidates", shift)
    code, text = refusal(luna)
    assert code == "point-outside-scan"
    assert "row 2 of candidates.csv" in text
    assert " mm outside subset0/" in text
    assert len(read_luna16(luna.folder, check_points=False)) == len(luna.table("candidates")) - 1


def test_ignoring_the_direction_of_flipped_scans_would_be_noticed(luna):
    """The classic bug, abs(point - origin), puts points of flipped scans outside them."""
    uid = next(iter(luna.grids))
    grid = luna.grids[uid]
    x, y, z = grid.to_mm((4, 18, 22)).tolist()
    mirrored = [2 * grid.origin_mm[0] - x, 2 * grid.origin_mm[1] - y, z]
    luna.rewrite("candidates", lambda rows: [rows[0], [uid, *mirrored, 0], *rows[1:]])
    assert refusal(luna)[0] == "point-outside-scan"


@pytest.mark.parametrize(
    ("column", "value", "code", "words"),
    [
        (4, "maybe", "bad-value", "row 1 of candidates.csv: class 'maybe'"),
        (4, "", "empty-value", "row 1 of candidates.csv: class is empty"),
        (2, "", "empty-value", "row 1 of candidates.csv: coordY is empty"),
        (2, "left", "bad-value", "row 1 of candidates.csv: coordY 'left'"),
    ],
)
def test_bad_cells_are_named(luna, column, value, code, words):
    def spoil(rows):
        rows[1][column] = value
        return rows

    luna.rewrite("candidates", spoil)
    found, text = refusal(luna)
    assert found == code
    assert words in text


def test_a_wrong_column_is_named(luna):
    luna.rewrite("candidates", lambda rows: [["seriesuid", "x", "y", "z", "class"], *rows[1:]])
    code, text = refusal(luna)
    assert code == "missing-column"
    assert "candidates.csv lacks the column 'coordX', 'coordY', 'coordZ'" in text


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("candidates", "class"),
        ("candidates", "seriesuid"),
        ("annotations", "diameter_mm"),
        ("annotations_excluded", "coordZ"),
    ],
)
def test_a_wrong_column_of_each_table_is_named(luna, table, column):
    luna.rewrite(table, lambda rows: [[c if c != column else "other" for c in rows[0]], *rows[1:]])
    code, text = refusal(luna, table=table)
    assert code == "missing-column"
    assert f"{table}.csv lacks the column {column!r}" in text


def test_a_list_of_series_with_more_than_series_is_named(luna):
    luna.rewrite("seriesuids", lambda rows: [*rows[:4], [*rows[4], "1"], *rows[5:]])
    code, text = refusal(luna, table="scans")
    assert code == "unreadable-table"
    assert "row 5 of seriesuids.csv has 2 values, not 1" in text


def test_missing_tables_and_folders_are_named(luna):
    (luna.folder / "candidates.csv").unlink()
    code, text = refusal(luna)
    assert code == "missing-scan"
    assert "candidates.csv" in text
    with pytest.raises(CohortError, match="is not a folder"):
        read_luna16(luna.folder / "nothing")


@pytest.mark.real
def test_the_real_tables(real_data, tmp_path):
    """Counts as published: 1,186 nodules in 601 of 888 scans, 35,192 findings to ignore."""
    folder = real_data("tables") / "luna16"
    root = tmp_path / "LUNA16"
    (root / "subset0").mkdir(parents=True)
    for path in folder.glob("*.csv"):
        (root / path.name).write_bytes(path.read_bytes())
    for uid in (folder / "seriesuids.csv").read_text().split():
        (root / "subset0" / f"{uid}.mhd").touch()
    nodules = read_luna16(root, table="annotations", check_points=False)
    assert len(nodules) == 1186
    assert len({c.series for c in nodules.cases}) == 601
    excluded = read_luna16(root, table="annotations_excluded", check_points=False)
    assert len(excluded) == 35192
    assert any(c.diameter_mm is None for c in excluded.cases)
    scans = read_luna16(root, table="scans")
    assert len(scans) == 888
    assert sum(c.label for c in scans.cases) == 601
