"""What the commands of this machine share: a configuration that cannot be used is one line for
each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from csms.cli.machine import FAILED, fail, settings_of


def test_each_line_of_a_failure_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        fail(FAILED, "one\ntwo")
    assert ended.value.exit_code == FAILED
    assert capsys.readouterr().err == "csms: one\ncsms: two\n"


def test_what_this_machine_has_not_got_is_named_with_its_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSMS_STORE__URL", f"sqlite:///{tmp_path}/csms.db")
    monkeypatch.setenv("CSMS_OCPP__HOST", "no.such.host.invalid")
    monkeypatch.setenv("CSMS_NODES__TAKES_STATIONS", "false")
    file = tmp_path / "csms.toml"
    file.write_text("")
    with pytest.raises(typer.Exit) as ended:
        settings_of(file)
    err = capsys.readouterr().err
    assert ended.value.exit_code == 2
    assert "ocpp.host: no.such.host.invalid is no address of this machine" in err
    assert "nodes.takes_stations" in err
