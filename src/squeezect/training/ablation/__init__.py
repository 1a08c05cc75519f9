"""What each trick of a recipe is worth: the recipe with one of them switched, all else equal."""

from squeezect.training.ablation.running import Ablation, Outcome, Plan, Scored, ablate
from squeezect.training.ablation.switches import Switch, default_switches, parse_switch, switched

__all__ = [
    "Ablation",
    "Outcome",
    "Plan",
    "Scored",
    "Switch",
    "ablate",
    "default_switches",
    "parse_switch",
    "switched",
]
