"""How switches and violations are printed (the commands: test_stations.py)."""

from __future__ import annotations

from csms.cli.treatment import shown


def test_values_are_shown_as_they_are_typed() -> None:
    assert [shown(v) for v in (True, False, 30, "1.6")] == ["true", "false", "30", "1.6"]
