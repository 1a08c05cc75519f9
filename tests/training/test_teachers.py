"""Laws of teachers: they answer as they were judged, and are not lost on the way to a pupil."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from squeezect.checkpoint import Checkpoint
from squeezect.cli import app
from squeezect.cohorts import Cohort
from squeezect.errors import CohortError
from squeezect.training import cross_validate
from squeezect.training.ablation import Plan as Forms
from squeezect.training.ablation import ablate
from squeezect.training.comparing import compare_models
from squeezect.training.fold import Part, predict_part
from squeezect.training.prepared import key_of
from squeezect.training.pseudo import pseudo_label
from squeezect.training.search import Plan, Space, search_recipes
from squeezect.training.teachers import Teachers


def test_teachers_answer_in_the_views_that_they_were_judged_in(
    cohort, recipe, store, more, tmp_path
):
    viewed = recipe.model_copy(update={"epochs": 1, "views": 3})
    run = cross_validate(cohort, viewed, tmp_path / "viewed", store=store.folder)
    pseudo_label(run, more, tmp_path / "both.csv", labelled=cohort, store=store.folder)
    part = Part([key_of(case.scan) for case in more.cases], [0] * 13)
    told = pd.read_csv(tmp_path / "both.csv")["teacher_0"].dropna()
    model = Checkpoint.load(run / "fold-0").build()
    three, one = (predict_part(model, store, part, views=views) for views in (3, 1))
    assert told.to_numpy() == pytest.approx(three, abs=1e-6)
    assert told.to_numpy() != pytest.approx(one, abs=1e-6)


def test_pseudo_labels_are_not_left_aside_without_a_word(
    cohort, recipe, store, more, teachers, tmp_path
):
    table = tmp_path / "both.csv"
    pseudo_label(teachers, more, table, labelled=cohort, store=store.folder)
    both = Cohort.read(table)
    assert Teachers.of(both) == Teachers.beside(table)
    assert Teachers.of(cohort) is None
    renamed = table.rename(tmp_path / "renamed.csv")
    arguments = ["train", str(renamed), "--out", str(tmp_path / "run"), "--quiet"]
    told = CliRunner().invoke(app, arguments)
    assert told.exception.code == "teachers-missing"
    assert "'teacher_0', but renamed.teachers.json is not there" in str(told.exception)
    out = tmp_path / "out"
    space = Space(name="s", axes={"epochs": {"low": 1, "high": 2}})
    for verb in (
        lambda: compare_models(both, ["cnn2d"], recipe, out),
        lambda: search_recipes(both, Plan(space, recipe), out),
        lambda: ablate(renamed, Forms(recipe, []), out),
    ):
        with pytest.raises(CohortError, match="does not learn from") as error:
            verb()
        assert error.value.code == "pseudo-labels-unused"
    assert not out.exists()
    assert not (tmp_path / "run").exists()
