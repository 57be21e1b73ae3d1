"""What an order is worth in points: one for each whole hundred of minor units, in any currency."""

MINOR_UNITS_A_POINT = 100


def points_for(amount: int) -> int:
    """Return the points for an amount in minor units; what is left over is worth nothing."""
    return amount // MINOR_UNITS_A_POINT
