"""Which answers of a teacher become pseudo-labels: the sure ones, in a stated ratio of classes."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from squeezect.errors import Code, RecipeError


class Rules(BaseModel):
    """When a teacher's answer is taken for a label.

    Args:
        positive_from: probability from which a scan counts as positive.
        negative_to: probability up to which it counts as negative.
        positive_share: share of positives among the pseudo-labels; the surest of the class that is
            too frequent are kept. None keeps all sure answers, whatever their ratio.

    Example:
        >>> rules = Rules(positive_share=0.5)
        >>> rules.choose({1: 0.95, 2: 0.99, 3: 0.04, 4: 0.5})
        {2: 1, 3: 0}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    positive_from: float = Field(default=0.9, ge=0.5, le=1)
    negative_to: float = Field(default=0.1, ge=0, le=0.5)
    positive_share: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.negative_to >= self.positive_from:
            raise ValueError("negative_to must be below positive_from")
        return self

    def choose(self, probabilities: Mapping[int, float]) -> dict[int, int]:
        """Labels by row, rows ascending.

        Args:
            probabilities: of class 1, by row.
        """
        # The surest first; equally sure ones by row, so that the choice can be repeated.
        ranked = sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))
        positive = [row for row, p in ranked if p >= self.positive_from]
        ranked.sort(key=lambda item: (item[1], item[0]))
        negative = [row for row, p in ranked if p <= self.negative_to]
        if self.positive_share is not None:
            ones, zeros = balanced(len(positive), len(negative), self.positive_share)
            positive, negative = positive[:ones], negative[:zeros]
        labels = dict.fromkeys(positive, 1) | dict.fromkeys(negative, 0)
        return dict(sorted(labels.items()))


def balanced(positive: int, negative: int, share: float) -> tuple[int, int]:
    """How many of each class to keep, so that positives have a share and as many as can stay.

    Args:
        positive: how many there are.
        negative: how many there are.
        share: of positives among those kept, in (0, 1).

    Example:
        >>> balanced(50, 100, 0.25)
        (33, 100)
    """
    total = min(positive / share, negative / (1 - share))
    ones = min(positive, round(total * share))
    zeros = min(negative, round(total * (1 - share)))
    return (ones, zeros) if ones and zeros else (0, 0)


BAD_RULES = Code(
    "bad-pseudo-rules",
    "The rules by which answers become labels contradict themselves.",
    "give a negative limit below the positive one, and a share between 0 and 1",
)


def parse_rules(positive_from: float, negative_to: float, positive_share: float | None) -> Rules:
    """Rules from plain numbers; see `Rules`.

    Raises:
        RecipeError: `bad-pseudo-rules`.
    """
    try:
        return Rules(
            positive_from=positive_from, negative_to=negative_to, positive_share=positive_share
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise RecipeError(BAD_RULES, f"{field or 'rules'}: {first['msg']}") from error
