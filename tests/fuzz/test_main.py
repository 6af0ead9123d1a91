"""`make fuzz`: what fails is shown, kept, and can be replayed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase

from tests.fuzz.__main__ import fuzz, main
from tests.fuzz.campaign import Example


def test_a_failing_example_is_shown_kept_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def dislikes_1_6(example: Example) -> None:
        assert example.version != "1.6", "not this one"

    assert fuzz(0, 3, dislikes_1_6, tmp_path, (Phase.generate,)) == 1
    told = capsys.readouterr().out
    assert "Failed with seed 3: OCPP 1.6" in told
    assert "not this one" in told
    assert f"--replay {tmp_path / 'failed-3.json'}" in told
    kept = Example.of((tmp_path / "failed-3.json").read_text())
    assert kept.version == "1.6"
    assert main(["--replay", str(tmp_path / "failed-3.json")]) == 0


def test_rounds_go_on_until_the_time_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz(0, 11, lambda example: None) == 0
    told = capsys.readouterr().out
    assert "seed 11: 100 examples" in told
    assert "the next seed is 12" in told
