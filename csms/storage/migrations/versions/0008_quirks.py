"""Quirks: how a station is treated is a switch of its policy, no column of its own."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON = sa.Text().with_variant(postgresql.JSON(), "postgresql")

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """A station that got no pings keeps that as the switch `ping`."""
    connection = op.get_bind()
    as_text = connection.dialect.name != "postgresql"
    stations = sa.table("stations", sa.column("id"), sa.column("ping", sa.Boolean()))
    policies = sa.table(
        "station_policies",
        sa.column("station_id"),
        sa.column("min_profile"),
        sa.column("switches", JSON),
        sa.column("exceptions", JSON),
    )

    def written(value: dict[str, object]) -> object:
        return json.dumps(value) if as_text else value

    silent = sa.select(stations.c.id).where(stations.c.ping.is_(sa.false()))
    for (station_id,) in connection.execute(silent).all():
        of_station = policies.c.station_id == station_id
        row = connection.execute(sa.select(policies.c.switches).where(of_station)).first()
        if row is None:
            new = {"station_id": station_id, "min_profile": 0, "exceptions": written({})}
            switches = written({"ping": False})
            connection.execute(policies.insert().values(**new, switches=switches))
        else:
            known = json.loads(row[0]) if as_text else row[0]
            switches = written({**known, "ping": False})
            connection.execute(policies.update().where(of_station).values(switches=switches))
    op.drop_column("stations", "ping")
