"""Search for a better recipe, resumable, and honest about what it was chosen on."""

from squeezect.training.search.plan import Found, Plan
from squeezect.training.search.searching import search_recipes
from squeezect.training.search.space import Space, space_names

__all__ = ["Found", "Plan", "Space", "search_recipes", "space_names"]
