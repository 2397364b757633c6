"""How sure a rate is."""

import math


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % confidence interval of a rate (Wilson 1927), which stays true near 0 and 1."""
    z = 1.959964
    rate = hits / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
