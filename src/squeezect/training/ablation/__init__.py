"""What each trick of a recipe is worth: the recipe with one of them switched, all else equal."""

from squeezect.training.ablation.bench import Scored
from squeezect.training.ablation.running import (
    Ablation,
    Outcome,
    Plan,
    ablate,
    learns_from_lists,
)
from squeezect.training.ablation.switches import (
    Switch,
    default_switches,
    left_out,
    parse_switch,
    switched,
)

__all__ = [
    "Ablation",
    "Outcome",
    "Plan",
    "Scored",
    "Switch",
    "ablate",
    "default_switches",
    "learns_from_lists",
    "left_out",
    "parse_switch",
    "switched",
]
