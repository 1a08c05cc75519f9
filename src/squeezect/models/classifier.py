"""What every network here is: volumes in, logits out, and a class map where it can localise."""

from typing import Any

import torch
from torch import nn

from squeezect.scan import Shape, Triple


class Classifier(nn.Module):
    """A network from volumes to class logits.

    `forward` takes (B, channels, z, y, x) and gives (B, classes). A network that `localises` also
    has a `class_map` whose mean over space is the logits, and tells with `cells` where each cell
    of the map looks. One that `draws` has the `outline` of what it judges. An export of a network
    takes volumes of any size if it has a `free_size`.
    """

    localises: bool = False
    draws: bool = False
    free_size: bool = True

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Contribution of every cell to every logit; shape (B, classes, d, h, w)."""
        raise NotImplementedError(f"{type(self).__name__} has no class map")

    def cell_scores(self, volumes: torch.Tensor) -> torch.Tensor:
        """Score of every cell for every class before pooling; shape (B, classes, d, h, w).

        Where cells are pooled by their mean, that is the class map itself.
        """
        return self.class_map(volumes)

    def pooled(self, scores: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w) of cell scores of that shape."""
        return scores

    def outline(self, volumes: torch.Tensor) -> torch.Tensor:
        """Share of every voxel that is part of what is judged; shape (B, 1, z, y, x)."""
        raise NotImplementedError(f"{type(self).__name__} draws no outline")

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:
        """Centre of cell [0, 0, 0] and step between cells, in input voxels along [z, y, x].

        Args:
            shape: of the input volume.
        """
        raise NotImplementedError(f"{type(self).__name__} has no class map")

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of volumes (B, channels, z, y, x)."""
        return self.class_map(volumes).mean((2, 3, 4))

    # nn.Module types calls as Any; a classifier always gives a tensor.
    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run `forward`."""
        result: torch.Tensor = super().__call__(*args, **kwargs)
        return result
