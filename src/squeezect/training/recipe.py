"""What a training run does, as data: parsed, validated, printed into the run folder.

Shipped recipes are the TOML files in ``squeezect/training/recipes``; `Recipe.load` takes their
names or the path of a file of your own.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    model_validator,
)

from squeezect.errors import Code, RecipeError
from squeezect.preparation import Preparation
from squeezect.training.ramp import Ramp
from squeezect.training.shipped import Shelf

UNKNOWN_RECIPE = Code(
    "unknown-recipe",
    "There is no shipped recipe of this name and no file at this path.",
    "name a shipped recipe or the path of a .toml file",
)
BAD_RECIPE = Code(
    "bad-recipe",
    "A recipe has a wrong field or value, or contradicts itself.",
    "correct the field; a shipped recipe shows every field with a comment",
)

SHELF = Shelf("recipe", "squeezect.training", "recipes", UNKNOWN_RECIPE, BAD_RECIPE)


class Augmentation(BaseModel):
    """Random changes of a training volume that leave its label true.

    Args:
        flip: mirror left and right, with probability one half.
        scale: largest relative change of size, per axis.
        shift: largest displacement, as a share of the volume's side.
        intensity: largest change of gain and offset, in units of the window.
        noise: standard deviation of added noise, in units of the window.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: bool = True
    scale: float = Field(default=0.1, ge=0, lt=1)
    shift: float = Field(default=0.05, ge=0, lt=1)
    intensity: float = Field(default=0.05, ge=0, lt=1)
    noise: float = Field(default=0.01, ge=0, lt=1)


class Insertion(BaseModel):
    """Nodules put into negative training volumes, which become positive.

    Args:
        share: of the negative training volumes that get one, each time they are drawn.
        diameter_mm: smallest and largest, drawn evenly on a logarithmic scale.
        density_hu: lowest and highest, of painted ones.
        bank: file of real nodules (``squeezect nodule-bank``) to draw from; "" paints all of them.
            Nodules of patients whom the fold is judged or tuned on are left out.
        bank_share: of the inserted nodules that come from the bank, the others are painted.
        pointing: weight of the loss that wants the class map to rise there and nowhere else in
            negative volumes; 0 learns from the label alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(default=0.4, ge=0, le=0.5)
    diameter_mm: tuple[PositiveFloat, PositiveFloat] = (6.0, 30.0)
    density_hu: tuple[float, float] = (-20.0, 80.0)
    bank: str = ""
    bank_share: float = Field(default=1.0, ge=0, le=1)
    pointing: float = Field(default=3.0, ge=0)


class Turning(BaseModel):
    """Random changes of patches within their plane, a whole batch at once.

    Args:
        scale: largest relative change of size.
        stretch: largest relative change of one side against the other.
        shift: largest displacement in voxels.
        gain: largest relative change of contrast.
        offset: largest change of brightness, in units of the window.
        noise: largest standard deviation of added noise, in units of the window.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = Field(default=0.2, ge=0, lt=1)
    stretch: float = Field(default=0.08, ge=0, lt=1)
    shift: float = Field(default=3.0, ge=0)
    gain: float = Field(default=0.1, ge=0, lt=1)
    offset: float = Field(default=0.05, ge=0, lt=1)
    noise: float = Field(default=0.03, ge=0, lt=1)


class Tumbling(BaseModel):
    """Random poses of 3D patches of cubic voxels, a whole batch at once; any angle in their plane.

    Args:
        tilt: largest angle out of the plane, in radians.
        scale: largest relative change of size.
        stretch: largest relative change of one side against the others.
        shift: largest displacement in voxels.
        gain: largest relative change of contrast.
        offset: largest change of brightness, in units of the window.
        noise: largest standard deviation of added noise, in units of the window.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tilt: float = Field(default=0.2, ge=0, lt=1.6)
    scale: float = Field(default=0.1, ge=0, lt=1)
    stretch: float = Field(default=0.05, ge=0, lt=1)
    shift: float = Field(default=2.0, ge=0)
    gain: float = Field(default=0.05, ge=0, lt=1)
    offset: float = Field(default=0.025, ge=0, lt=1)
    noise: float = Field(default=0.02, ge=0, lt=1)


class Teaching(BaseModel):
    """What a network for nodules is taught beside the label; nothing of it is needed to use it.

    Args:
        ratings: columns of the cohort with numbers that the network learns to tell.
        ratings_weight: of their loss.
        outline_weight: of the loss that wants the nodule's mask drawn.
        opinion: column with a graded opinion of what the label decides, such as LIDC's malignancy.
        opinion_range: its grades that mean surely not, and surely.
        opinion_share: of the opinion in the taught label; the rest is the label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratings: tuple[str, ...] = ()
    ratings_weight: float = Field(default=1.0, ge=0)
    outline_weight: float = Field(default=2.0, ge=0)
    opinion: str = ""
    opinion_range: tuple[float, float] = (1.0, 5.0)
    opinion_share: float = Field(default=0.5, ge=0, le=1)


class Recipe(BaseModel):
    """Everything that decides what a training run does, apart from the cohort.

    Args:
        name: what the run and its report call it.
        model: registered name of the network.
        model_options: options of the network.
        preparation: how scans become network input.
        folds: number of patient-grouped folds.
        tune_fraction: share of each fold's training patients set aside for early stopping and the
            choice of weights; 0 trains on all of them and keeps the last weights.
        epochs: passes over the training part, at most.
        batch_size: volumes per step.
        optimiser: ``adam`` or ``adamw``.
        learning_rate: peak learning rate.
        weight_decay: decoupled for ``adamw``.
        schedule: ``constant``, or ``one-cycle`` (warm-up, then cosine to zero).
        warm_up: share of the steps spent warming up, for ``one-cycle``.
        gradient_clip: largest gradient norm, 0 for no limit.
        label_smoothing: share of the label spread over both classes.
        average_weights: decay of the moving average of weights that is evaluated and kept; 0 for
            the weights themselves.
        balanced_sampling: draw both classes equally often.
        augmentation: random changes of training volumes, or none.
        insertion: nodules painted into negative training volumes, or none.
        turning: patches turned to any angle, mirrored and scaled within their plane, or none.
        tumbling: 3D patches turned, tilted, mirrored and scaled, or none.
        teaching: what a network for nodules is taught beside the label, or nothing.
        views: mirrored and turned views of a case whose mean is its answer, 1 to 8.
        mixup: shape of the beta distribution that mixes pairs of a batch, 0 for no mixing (Zhang
            et al., "mixup: Beyond empirical risk minimization", 2018).
        patience: epochs without a better tuning loss before stopping; 0 never stops early.
        pseudo: how much pseudo-labels weigh from epoch to epoch, where a cohort has any; None
            ramps up from a tenth of the epochs to six tenths.
        freeze: layers that keep their weights, by name or pattern; for fine-tuning.
        precision: ``float32``, ``bfloat16``, or ``auto`` (bfloat16 where the processor has it).
        seed: decides folds, weights, order, augmentation and dropout.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    description: str = ""
    model: str = "squeezenet3d"
    model_options: dict[str, object] = Field(default_factory=dict)
    preparation: Preparation = Preparation()
    folds: int = Field(default=5, ge=2)
    tune_fraction: float = Field(default=0.15, ge=0, lt=0.5)
    epochs: int = Field(default=250, ge=1)
    batch_size: int = Field(default=4, ge=1)
    optimiser: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "one-cycle"] = "constant"
    warm_up: float = Field(default=0.1, gt=0, lt=1)
    gradient_clip: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    average_weights: float = Field(default=0.0, ge=0, lt=1)
    balanced_sampling: bool = False
    augmentation: Augmentation | None = None
    insertion: Insertion | None = None
    turning: Turning | None = None
    tumbling: Tumbling | None = None
    teaching: Teaching | None = None
    views: int = Field(default=1, ge=1, le=8)
    mixup: float = Field(default=0.0, ge=0, le=5)
    patience: int = Field(default=0, ge=0)
    pseudo: Ramp | None = None
    freeze: tuple[str, ...] = ()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _stopping_needs_tuning(self) -> Self:
        if self.patience and not self.tune_fraction:
            raise ValueError("patience needs a tune_fraction above 0 to watch")
        return self

    @property
    def ramp(self) -> Ramp:
        """The weight of pseudo-labels: the recipe's own, or one over its epochs."""
        return self.pseudo or Ramp.over(self.epochs)

    @model_validator(mode="after")
    def _teaching_needs_pupils(self) -> Self:
        how = self.teaching
        if how is None:
            return self
        wanted: dict[str, object] = {"ratings": len(how.ratings)}
        wanted["outlines"] = how.outline_weight > 0
        if self.model != "squeezenet-nodule":
            raise ValueError("only the model squeezenet-nodule can be taught by [teaching]")
        for name, value in wanted.items():
            if value and self.model_options.get(name) != value:
                raise ValueError(f"[teaching] needs model_options.{name} = {value}")
        return self

    @model_validator(mode="after")
    def _nothing_cancels(self) -> Self:
        """Refuse two fields of which one would undo or mislead the other without a word."""
        moves = ("turning", "tumbling")
        on = {name for name in ("augmentation", "insertion", *moves) if getattr(self, name)}
        on |= {"mixup"} if self.mixup else set()
        if self.teaching and (idle := sorted(on & {"augmentation", "insertion", "mixup"})):
            raise ValueError(
                f"[teaching] leaves {', '.join(idle)} undone: take out one or the other"
            )
        if self.teaching and self.teaching.outline_weight and "turning" in on:
            raise ValueError("[turning] would blur the outlines of [teaching]: use [tumbling]")
        if self.insertion and self.insertion.pointing and (lost := sorted(on & {"mixup", *moves})):
            # Turning and tumbling move a nodule but not its mark; mixing leaves no mark at all.
            names = ", ".join(lost)
            raise ValueError(
                f"no pointing under {names}: set insertion.pointing to 0 or take it out"
            )
        return self

    @classmethod
    def load(cls, name: str | Path, **changes: object) -> Self:
        """A shipped recipe by name, or a TOML file by path, with fields changed if asked.

        Args:
            name: name of a shipped recipe (see `recipe_names`) or a path that ends in ``.toml``.
            changes: fields to replace; None leaves a field as it is.

        Raises:
            RecipeError: `unknown-recipe` or `bad-recipe`.

        Example:
            >>> Recipe.load("paper").learning_rate
            1e-05
        """
        data = {"name": Path(name).stem} | SHELF.read(name)
        data |= {key: value for key, value in changes.items() if value is not None}
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise RecipeError(BAD_RECIPE, f"recipe {name}: {_first_problem(error)}") from error


def recipe_names() -> tuple[str, ...]:
    """Names of the shipped recipes, sorted."""
    return SHELF.names()


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "recipe"
    return f"{field} = {first['input']!r}: {first['msg']}" if first["loc"] else first["msg"]
