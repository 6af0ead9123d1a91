"""Every part of the benchmark runs. No speed is judged here: the machine may be busy."""

from __future__ import annotations

import json
import sqlite3
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chargers.frames import FrameError, FrameReader, header_size, masked
from tests.benchmarks import report, scripts, verify
from tests.benchmarks.__main__ import main, select
from tests.benchmarks.processes import CannotRun, allow_files
from tests.benchmarks.runs import RUNS
from tests.benchmarks.verify import faults

SHORT = ["--seconds", "0.3", "--connections", "3", "--idle", "20"]
LONG = {
    "postgres.transactions",
    "system.crowd",
    "cluster.commands",
    "cluster.storm",
    "roaming.pull",
}
START = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own process stays on all cores."""
    monkeypatch.setattr("tests.benchmarks.__main__.pin", lambda core: None)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
# What starts a database server and several systems takes half a minute each, and what those do is
# tested end to end elsewhere.
@pytest.mark.parametrize("run", [run for run in RUNS if run not in LONG])
def test_a_run_gives_figures(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    code = main([*SHORT, "--only", run, "--folder", str(tmp_path), "--output", str(output)])
    assert code == 0, capsys.readouterr().out
    found = json.loads((output / "latest.json").read_text())
    assert found["ok"]
    assert all(figure["value"] > 0 for figure in found["figures"] if "idle" not in figure["key"])
    assert len(found["figures"]) == 2
    assert found["figures"][0]["title"] in (output / "README.md").read_text()


@pytest.mark.slow
def test_a_profile_names_functions(tmp_path: Path) -> None:
    where = ["--folder", str(tmp_path), "--output", str(tmp_path)]
    assert main([*SHORT, "--profile", "--only", "system.meter", *where]) == 0
    text = (tmp_path / "profile.txt").read_text()
    assert "csms/ocpp/link.py" in text
    assert "csms/storage/batch.py" in text


# -- the check of the database -----------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two acknowledged messages of transaction 7, as the system stores them."""
    file = tmp_path / "bench.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(
            "CREATE TABLE quarantine (id);"
            "CREATE TABLE journal (kind, data);"
            "CREATE TABLE transactions (id, energy_wh);"
            "CREATE TABLE meter_samples (transaction_id, at, readings);"
            "INSERT INTO transactions VALUES (7, 1)"
        )
        for second in range(2):
            readings = json.dumps([{"value": str(scripts.FIRST + second)}])
            at = f"2024-05-01T00:00:0{second}.000000Z"
            connection.execute("INSERT INTO meter_samples VALUES (7, ?, ?)", (at, readings))
            event = json.dumps({"transaction_id": 7})
            connection.execute("INSERT INTO journal VALUES ('transaction_updated', ?)", (event,))
    connection.close()
    return file


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (None, None),
        ("DELETE FROM meter_samples WHERE at LIKE '%01.000000Z'", "samples"),
        ("INSERT INTO meter_samples SELECT * FROM meter_samples LIMIT 1", "samples"),
        ("UPDATE meter_samples SET readings = replace(readings, '1', '2')", "samples"),
        ("INSERT INTO journal SELECT * FROM journal LIMIT 1", "events"),
        ("UPDATE transactions SET energy_wh = 2", "Wh"),
        ("INSERT INTO quarantine VALUES ('x')", "quarantine"),
    ],
)
def test_what_is_lost_or_doubled_is_found(
    database: Path, damage: str | None, word: str | None
) -> None:
    if damage is not None:
        with sqlite3.connect(database) as connection:
            connection.execute(damage)
        connection.close()
    script = scripts.meter(7, START)
    script.acknowledged = 2
    found = faults(database, "meter", [script], START)
    assert (word is None and not found) or (word is not None and word in " ".join(found))


def test_a_cut_transaction_is_known_by_what_was_acknowledged() -> None:
    assert verify._seen(1) == "0"
    assert verify._seen(10) == "0-9"


# -- frames and scripts --------------------------------------------------------------------------


def test_scripts_stay_json_and_rise() -> None:
    for script, stamps in (
        (scripts.meter(7, START), 1),
        (scripts.transactions("B", "T", START), 2),
    ):
        seen = []
        for _ in range(script.messages_each + 2):
            frame = bytes(script.next())
            text = frame[8:] if frame[1] & 0x7F == 126 else frame[6:]
            message = json.loads(text)
            assert message[1].encode() == script.message_id
            seen.append(message)
        assert [int(m[1]) for m in seen] == [scripts.FIRST + n for n in range(len(seen))]
        second = json.dumps(seen[1])
        assert second.count("2024-05-01T00:00:01Z") == stamps
        assert str(scripts.FIRST + 1) in second.partition(seen[1][2])[2]


def test_frames_survive_any_cut() -> None:
    deflate = zlib.compressobj(wbits=-15)
    small = (deflate.compress(b"hi") + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
        b"\x00\x00\xff\xff"
    )
    stream = b"\x81\x02ok\x81\x7e\x00\x80" + b"x" * 128 + bytes([0xC1, len(small)]) + small
    for cut in range(1, len(stream)):
        reader = FrameReader()
        found = reader.feed(stream[:cut]) + reader.feed(stream[cut:])
        assert found == [(1, b"ok"), (1, b"x" * 128), (1, b"hi")]
        assert reader.empty
    with pytest.raises(FrameError):
        FrameReader().feed(b"\x01\x01a")


def test_a_mask_of_zeros_leaves_the_payload() -> None:
    for size in (10, 125, 126, 1_000):
        payload = b"a" * size
        assert masked(payload).endswith(bytes(4) + payload)
        assert len(masked(payload)) == header_size(payload) + size


# -- choosing and saying ---------------------------------------------------------------------------


def test_only_takes_runs_servers_and_loads() -> None:
    assert select("", RUNS) == RUNS
    assert select("meter", RUNS) == [
        f"{s}.meter" for s in ("floor", "package", "system", "postgres")
    ]
    assert select("system.idle, floor.meter", RUNS) == ["floor.meter", "system.idle"]
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])


def test_too_many_files_are_refused_in_words() -> None:
    with pytest.raises(CannotRun, match="open files are needed"):
        allow_files(2**40)


def test_the_readme_shows_the_newest() -> None:
    figure = {
        "key": "system.meter",
        "title": "this system",
        "value": 1_234.0,
        "unit": "messages/s",
        "p99_ms": 7.6,
        "of_floor": 0.211,
    }
    other = {**figure, "key": "floor.meter", "title": "floor"}
    found = {"figures": [figure, other], "machine": {"date": "2031-05-01T10:00:00Z", "cores": 2}}
    readme = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    shown = report.with_figures(readme, found)
    assert "| this system | 1,234 messages/s | 8 | 0.21 |" in shown
    assert "old" not in shown
    assert "floor |\n" in shown
    assert "| floor |" not in shown
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter\n")
    assert report.with_figures(shown, found) == shown
    assert report.with_figures("no marks", found) == "no marks"
    text = (report.ROOT / "README.md").read_text()
    assert report.BEGIN in text
    assert report.END in text


def test_every_run_has_a_title() -> None:
    assert {report.title(run) for run in RUNS} <= set(report.TITLES.values())
