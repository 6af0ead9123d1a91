"""Geography: which places are near. Coordinates are degrees as decimal numbers (WGS 84).

Places are found by *cell*: a square of a quarter of a degree, as text. Looking around a point means
looking into the cells around it and measuring what is there.
"""

from __future__ import annotations

from math import asin, ceil, cos, floor, radians, sin, sqrt

CELLS_PER_DEGREE = 4
# So far may be looked around: some thousand cells near the poles, a few hundred elsewhere.
MAX_RADIUS_KM = 200.0
_EARTH_KM = 6371.0
_KM_PER_DEGREE = 111.2
# Nobody charges beyond; a circle there would meet every meridian.
_MAX_LATITUDE = 85.0


def cell(latitude: float, longitude: float) -> str:
    """The cell of a point."""
    return _name(floor(latitude * CELLS_PER_DEGREE), floor(longitude * CELLS_PER_DEGREE))


def cells_around(latitude: float, longitude: float, radius_km: float) -> list[str]:
    """All cells that a circle touches; a few that it only comes near to."""
    high = radius_km / _KM_PER_DEGREE
    # As wide as the circle is where it is nearest to a pole.
    nearest = min(abs(latitude) + high, _MAX_LATITUDE)
    wide = min(180.0, high / cos(radians(nearest)))
    rows = range(
        floor((latitude - high) * CELLS_PER_DEGREE), floor((latitude + high) * CELLS_PER_DEGREE) + 1
    )
    first = floor((longitude - wide) * CELLS_PER_DEGREE)
    count = min(360 * CELLS_PER_DEGREE, ceil(2 * wide * CELLS_PER_DEGREE) + 1)
    return [_name(row, first + n) for row in rows for n in range(count)]


def _name(row: int, column: int) -> str:
    """Columns go around the earth."""
    half = 180 * CELLS_PER_DEGREE
    return f"{row}:{(column + half) % (2 * half) - half}"


def distance_km(latitude: float, longitude: float, to_lat: float, to_lon: float) -> float:
    """Along a great circle."""
    up, down = radians(latitude), radians(to_lat)
    half_lat, half_lon = (down - up) / 2, radians(to_lon - longitude) / 2
    part = sin(half_lat) ** 2 + cos(up) * cos(down) * sin(half_lon) ** 2
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(part)))
