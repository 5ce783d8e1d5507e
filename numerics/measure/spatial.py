"""The spatial structure of the positional encodings p_1 … p_P of a vision transformer.

One encoding belongs to each patch of a square grid, and nothing tells the network which patches are
neighbours: if ⟨p_i, p_j⟩/(‖p_i‖‖p_j‖) falls with the distance of i and j on the grid, as in Figure
1a of the paper, training has put that there.  The cosine is that of the encodings as they stand in
the network; their mean is not subtracted.

In: encodings.  Out: three numbers that say how spatial they are (:class:`SpatialStructure`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from theory.inputs import integer

__all__ = [
    "SpatialStructure",
    "cosine_similarity",
    "distance_bins",
    "grid_distance",
    "rounded",
    "similarity_by_distance",
    "spatial_structure",
]


def cosine_similarity(P: Tensor) -> Tensor:
    """⟨p_i, p_j⟩ / (‖p_i‖ ‖p_j‖) for every pair of rows of ``P`` (P, width): shape (P, P).

    Examples
    --------
    >>> cosine_similarity(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))[0]
    tensor([1., 0., 1.])
    """
    unit = nn.functional.normalize(P, dim=1)
    return unit @ unit.T


def rounded(matrix: Tensor, digits: int) -> list[list[float]]:
    """A matrix as a record keeps it.

    Examples
    --------
    >>> rounded(torch.tensor([[1.0, 1 / 3]]), 2)
    [[1.0, 0.33]]
    """
    return [[round(entry, digits) for entry in row] for row in matrix.tolist()]


def grid_distance(side: int) -> Tensor:
    """Euclidean distance of every two patches of a side × side grid, in patches: (side², side²).

    Examples
    --------
    >>> grid_distance(2)[0]
    tensor([0.0000, 1.0000, 1.0000, 1.4142], dtype=torch.float64)
    """
    line = torch.arange(integer("side", side, least=1), dtype=torch.float64)
    place = torch.cartesian_prod(line, line)
    return torch.linalg.vector_norm(place[:, None] - place[None], dim=-1)


@dataclass(frozen=True)
class SpatialStructure:
    """How the cosine similarity of encodings goes with distance on the grid.

    Parameters
    ----------
    neighbour : float
        Mean similarity of patches at distance 1.
    distant : float
        Mean similarity of patches at least half the grid's side apart.
    correlation : float
        Pearson correlation of similarity and distance over all pairs i ≠ j.
    """

    neighbour: float
    distant: float
    correlation: float


def spatial_structure(P: Tensor) -> SpatialStructure:
    """Measure encodings ``P`` of shape (side², width), patches row by row.

    Raises
    ------
    ValueError
        If the number of rows is not the square of a side ≥ 2, or an entry is not finite.

    Examples
    --------
    On a circle's arc, similarity falls with the distance between columns and rows:

    >>> angle = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)) / 4
    >>> found = spatial_structure(torch.cat([angle.cos(), angle.sin()], dim=1))
    >>> found.neighbour > found.distant, found.correlation < -0.9
    (True, True)
    """
    side = math.isqrt(len(P))
    if P.ndim != 2 or side**2 != len(P) or side < 2:
        raise ValueError(
            f"encodings of shape {tuple(P.shape)}: they must be (side², width) with side >= 2"
        )
    if not bool(torch.isfinite(P).all()):
        raise ValueError("encodings contain nan or inf: they must be finite numbers")
    similarity, distance = cosine_similarity(P.double()), grid_distance(side)
    pairs = ~torch.eye(len(P), dtype=torch.bool)
    both = torch.stack([similarity[pairs], distance[pairs]])
    return SpatialStructure(
        neighbour=similarity[distance == 1].mean().item(),
        distant=similarity[distance >= side / 2].mean().item(),
        correlation=torch.corrcoef(both)[0, 1].item(),
    )


def distance_bins(side: int) -> list[int]:
    """Distances of two different places of a side × side grid, rounded to whole steps.

    Examples
    --------
    >>> distance_bins(4)
    [1, 2, 3, 4]
    """
    side = integer("side", side, least=1)
    return list(range(1, round(math.hypot(side - 1, side - 1)) + 1))


def similarity_by_distance(P: Tensor) -> list[float]:
    """Mean cosine similarity of encodings (side², width) at each of :func:`distance_bins`.

    Examples
    --------
    The four rows are the corners of a square, equal above and below:

    >>> similarity_by_distance(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    [0.3333333333333333]
    """
    side = math.isqrt(len(P))
    similarity, distance = cosine_similarity(P.double()), grid_distance(side).round()
    pairs = ~torch.eye(len(P), dtype=torch.bool)
    return [similarity[pairs & (distance == r)].mean().item() for r in distance_bins(side)]
