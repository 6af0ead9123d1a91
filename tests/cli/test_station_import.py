"""`csms station import, export`: files as people have them."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import STATION, Api, ok, page

HEADER = "identity,secret,evses,connectors,party,vendor"


def written(folder: Path, *lines: str, header: str = HEADER) -> str:
    file = folder / "stations.csv"
    file.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8-sig")
    return str(file)


def adding(api: Api) -> None:
    """The server adds everything, and makes tokens where none came."""

    def answer(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)["rows"]
        made = [
            {
                "identity": row["identity"],
                "result": "added",
                "detail": None,
                "token": None if "secret" in row else f"token of {row['identity']}",
            }
            for row in rows
        ]
        return ok({"rows": made})

    api.on("POST", "/station-imports", answer)


def test_rows_go_in_batches_and_tokens_into_a_file_of_their_own(api: Api, tmp_path: Path) -> None:
    adding(api)
    lines = [f"CP-{n},{'its own secret' if n == 1 else ''},2,1,CA*NTH," for n in range(1, 451)]
    tokens = tmp_path / "tokens.csv"
    file = written(tmp_path, *lines)
    result = api.run("station", "import", file, "--tokens-out", str(tokens))
    assert result.exit_code == 0, result.stderr
    assert [len(api.body(n)["rows"]) for n in range(3)] == [200, 200, 50]
    first = {"identity": "CP-1", "secret": "its own secret", "evses": 2, "connectors": 1}
    assert api.body(0)["rows"][0] == {**first, "party_id": "CA*NTH"}
    assert result.stdout == f"450 added\n449 new tokens are in {tokens}, and nowhere else\n"
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    kept = list(csv.reader(tokens.open()))
    assert (kept[0], kept[1], len(kept)) == (["identity", "token"], ["CP-2", "token of CP-2"], 450)


def test_what_became_of_each_row_is_said_with_its_line(api: Api, tmp_path: Path) -> None:
    rows = [
        {"identity": "A", "result": "unchanged", "detail": None, "token": None},
        {"identity": "B", "result": "updated", "detail": "secret", "token": None},
        {"identity": "C", "result": "refused", "detail": "too short", "token": None},
    ]
    api.on("POST", "/station-imports", ok({"rows": rows}))
    file = written(tmp_path, "A,s1,,,,", "", "B,s2,,,,", "C,s3,,,,")
    result = api.run("station", "import", file)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "line 2: A unchanged",
        "line 4: B updated: secret",
        "line 5: C refused: too short",
        "1 updated, 1 unchanged, 1 refused",
    ]
    assert "1 of 3 rows were refused" in result.stderr


def test_a_rehearsal_writes_no_tokens(api: Api, tmp_path: Path) -> None:
    adding(api)
    file = written(tmp_path, "A,,,,,")
    result = api.run("station", "import", file, "--dry-run")
    assert api.body()["dry_run"] is True
    assert result.stdout.splitlines() == ["line 2: A added", "would be: 1 added"]


def test_new_tokens_need_a_file_of_tokens(api: Api, tmp_path: Path) -> None:
    adding(api)
    file = written(tmp_path, "A,,,,,", "B,s,,,,")
    result = api.run("station", "import", file)
    assert (result.exit_code, "1 of 2 rows have no secret" in result.stderr) == (2, True)
    assert [api.body(n)["dry_run"] for n in range(len(api.requests))] == [True]
    there = tmp_path / "other.csv"
    there.write_text("precious")
    result = api.run("station", "import", file, "--tokens-out", str(there))
    assert (result.exit_code, "is no file of tokens" in result.stderr) == (2, True)
    assert there.read_text() == "precious"


def test_the_same_command_may_be_given_again(api: Api, tmp_path: Path) -> None:
    adding(api)
    file, tokens = written(tmp_path, "A,,,,,"), str(tmp_path / "tokens.csv")
    again = ("station", "import", file, "--tokens-out", tokens)
    said = api.run(*again).stdout
    assert said == f"1 added\n1 new token is in {tokens}, and nowhere else\n"
    there = {"identity": "A", "result": "unchanged", "detail": None, "token": None}
    api.on("POST", "/station-imports", ok({"rows": [there]}))
    assert api.run(*again).exit_code == 0
    assert Path(tokens).read_text().splitlines() == ["identity,token", "A,token of A"]
    # Nothing would be added, so no file is needed.
    assert api.run("station", "import", file).exit_code == 0
    adding(api)
    api.run("station", "import", written(tmp_path, "B,,,,,"), "--tokens-out", tokens)
    assert Path(tokens).read_text().splitlines()[1:] == ["A,token of A", "B,token of B"]


def test_a_file_without_tokens_is_not_left_behind(api: Api, tmp_path: Path) -> None:
    adding(api)
    tokens = tmp_path / "tokens.csv"
    api.run("station", "import", written(tmp_path, "A,s,,,,"), "--tokens-out", str(tokens))
    assert not tokens.exists()


@pytest.mark.parametrize(
    ("header", "lines", "said"),
    [
        ("identity,colour", ["A,red"], "unknown column colour"),
        ("secret", ["x"], "no column identity"),
        ("identity,identity", ["A,B"], "a column is named twice"),
        (HEADER, ["A,s,two,,,"], "line 2: evses: 'two' is no whole number"),
        (HEADER, ["A,s,,,"], "line 2: 5 values for 6 columns"),
        (HEADER, [",s,,,,"], "line 2: identity is empty"),
        (HEADER, ["A,s,,,,", "B,s,,,,", "A,s,,,,"], "line 4: A is in line 2 already"),
        (HEADER, [], "has no rows below its header"),
        (HEADER, ['A,"s,,,,'], "line 2"),
        ("identity,weak_secret", ["A,maybe"], "line 2: weak_secret: 'maybe' is neither yes nor no"),
    ],
)
def test_a_file_that_is_wrong_is_not_sent(
    api: Api, tmp_path: Path, header: str, lines: list[str], said: str
) -> None:
    result = api.run("station", "import", written(tmp_path, *lines, header=header))
    assert result.exit_code == 2
    assert said in result.stderr
    assert api.requests == []


def test_a_file_of_a_spreadsheet_with_semicolons(api: Api, tmp_path: Path) -> None:
    adding(api)
    header = "Identity;Secret;Owner;weak_secret"
    api.run("station", "import", written(tmp_path, "A;s;CA*NTH;yes", header=header))
    row = {"identity": "A", "secret": "s", "party_id": "CA*NTH", "weak_secret": True}
    assert api.body()["rows"] == [row]


def test_for_programs(api: Api, tmp_path: Path) -> None:
    adding(api)
    result = api.run("station", "import", written(tmp_path, "A,s,,,,"), "-o", "json")
    told = json.loads(result.stdout)
    assert (told["added"], told["refused"], told["rows"][0]["line"]) == (1, 0, 2)


# -- export ----------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    STATION,
    {**STATION, "identity": "=CP,2", "model": "=1+1", "exceptions": {"user": "x"}},
]


def test_an_export_can_be_imported(api: Api, tmp_path: Path) -> None:
    api.on("GET", "/stations", page(*ROWS))
    file = tmp_path / "out.csv"
    result = api.run("station", "export", str(file))
    assert result.exit_code == 0
    assert "2 stations" in result.stderr
    assert "without secrets" in result.stderr
    adding(api)
    tokens = str(tmp_path / "t.csv")
    assert api.run("station", "import", str(file), "--tokens-out", tokens).exit_code == 0
    first, second = api.body()["rows"]
    assert first["evses"] == 2
    assert (second["identity"], second["model"]) == ("=CP,2", "=1+1")
    assert "'=CP,2" in file.read_text(), "a spreadsheet takes it for text"


def test_an_export_to_standard_output(api: Api) -> None:
    api.on("GET", "/stations", page(*ROWS))
    lines = list(csv.reader(io.StringIO(api.run("station", "export").stdout)))
    assert [line[0] for line in lines] == ["identity", "CP-1", "'=CP,2"]
    api.on("GET", "/stations", page(*ROWS))
    shown = api.run("station", "export", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["identity"] for line in shown] == ["CP-1", "=CP,2"]
    api.on("GET", "/stations", page(*ROWS))
    assert json.loads(api.run("station", "export", "-o", "json").stdout) == ROWS
    api.on("GET", "/stations", page())
    assert json.loads(api.run("station", "export", "-o", "json").stdout) == []


def test_an_export_that_cannot_be_written(api: Api, tmp_path: Path) -> None:
    api.on("GET", "/stations", page(*ROWS))
    result = api.run("station", "export", str(tmp_path / "no" / "folder.csv"))
    assert (result.exit_code, "cannot write" in result.stderr) == (2, True)
