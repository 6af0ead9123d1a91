"""The report: one table for people, one JSON file for machines, one page made from it."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.processes import ROOT
from tests.benchmarks.runs import Figure, Options, Outcome

LIBRARIES = ("csms", "ocpp", "orjson", "jsonschema-rs", "sqlalchemy", "uvloop", "websockets")
SHORT_S = 5.0
TITLES = {
    "floor.meter": "floor: MeterValues 1.6",
    "package.meter": "ocpp package: MeterValues 1.6",
    "system.meter": "this system: MeterValues 1.6",
    "floor.transactions": "floor: transactions 2.0.1",
    "package.transactions": "ocpp package: transactions 2.0.1",
    "system.transactions": "this system: transactions 2.0.1",
    "system.idle": "this system: idle link, deflate",
    "system.idle.plain": "this system: idle link, no deflate",
    "postgres.meter": "on PostgreSQL: MeterValues 1.6",
    "postgres.transactions": "on PostgreSQL: transactions 2.0.1",
    "system.crowd.few": "this system: MeterValues, 1,000 others connected",
    "system.crowd": "this system: MeterValues, 16,000 others connected",
    "fault.history.alone": "MeterValues while all is well",
    "fault.history": "MeterValues while two stations deliver what they kept offline",
    "cluster.commands.here": "command to a station of this node",
    "cluster.commands": "command to a station of another node",
    "cluster.storm": "two workers: all stations at once after a restart",
    "roaming.pull": "roaming: a network read in full by another",
    "roaming.status.one": "roaming: status to answered PATCH, one request in flight",
    "roaming.status": "roaming: status to answered PATCH, four in flight",
}
HEADINGS = (
    "figure",
    "value",
    "messages/s",
    "p50 ms",
    "p99 ms",
    "CPU us/msg",
    "x floor",
    "x floor by CPU",
    "x package",
)


def machine(database_folder: Path | None, pinned: bool) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "pinned": pinned,
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "database_filesystem": filesystem(database_folder),
        "libraries": {name: version(name) for name in LIBRARIES},
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(),
    }


def filesystem(folder: Path | None) -> str | None:
    """The kind of file system that a folder is on, None when it cannot be told."""
    try:
        path = str((folder or Path.cwd()).resolve())
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return None
    holding = [m for m in mounts if path == m[1] or path.startswith(m[1].rstrip("/") + "/")]
    return max(holding, key=lambda m: len(m[1]))[2] if holding else None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def _commit() -> str | None:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# -- the results ---------------------------------------------------------------------------------


def results(facts: dict[str, Any], options: Options, outcome: Outcome) -> dict[str, Any]:
    """Everything, as plain values. Ratios are of messages per second under the same load, and of
    what a whole core of CPU time would serve."""
    rates = {f.key: f.messages_per_s for f in outcome.figures}
    cpu = {f.key: _cpu_us(f) for f in outcome.figures}
    figures = []
    for figure in outcome.figures:
        row = {"title": title(figure.key), **dataclasses.asdict(figure)}
        if "stations" in figure.facts:
            row["title"] += f" ({figure.facts['stations']:,})"
        load = figure.key.partition(".")[2]
        light = figure.key.endswith(".light")
        for other in ("floor", "package"):
            rate, mine = rates.get(f"{other}.{load}"), figure.messages_per_s
            row[f"of_{other}"] = mine / rate if mine and rate and not light else None
        floor_us, my_us = cpu.get(f"floor.{load}"), cpu[figure.key]
        row["of_floor_by_cpu"] = floor_us / my_us if floor_us and my_us and not light else None
        figures.append(row)
    return {
        "ok": not outcome.faults,
        "machine": facts,
        "options": {
            "seconds": options.seconds,
            "connections": options.connections,
            "idle": options.idle,
            "evses": options.evses,
            "crowd": options.crowd,
            "storm": options.storm,
        },
        "figures": figures,
        "notes": outcome.notes,
        "faults": outcome.faults,
    }


def title(key: str) -> str:
    """What a figure is called for people."""
    light = key.removesuffix(".light")
    return TITLES[light] + (", at half that rate" if light != key else "")


def _cpu_us(figure: Figure) -> float | None:
    if figure.loop_us is None or figure.others_us is None:
        return None
    return figure.loop_us + figure.others_us


def rows(found: dict[str, Any]) -> list[list[str]]:
    """The cells of the table, in the order of `HEADINGS`."""
    table = []
    for f in found["figures"]:
        cpu = None if f["loop_us"] is None else f["loop_us"] + f["others_us"]
        unit = f["unit"]
        table.append(
            [
                f["title"],
                f"{f['value']:,.0f} {unit}",
                _cell(f["messages_per_s"], ",.0f"),
                _cell(f["p50_ms"], ".2f"),
                _cell(f["p99_ms"], ".2f"),
                _cell(cpu, ".1f"),
                _cell(f["of_floor"], ".2f"),
                _cell(f["of_floor_by_cpu"], ".2f"),
                _cell(f["of_package"], ".1f"),
            ]
        )
    return table


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


# -- for people ------------------------------------------------------------------------------------


def show(found: dict[str, Any], console: Console) -> None:
    """The table on a terminal, tab-separated lines elsewhere; then remarks and faults."""
    if console.is_terminal:
        table = Table(*HEADINGS[:1], title="Benchmarks, one core per server")
        for heading in HEADINGS[1:]:
            table.add_column(heading, justify="right")
        for row in rows(found):
            table.add_row(*row)
        console.print(table)
    else:
        for row in (HEADINGS, *rows(found)):
            print("\t".join(row))
    for note in found["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    for fault in found["faults"]:
        console.print(f"FAILED {fault}", markup=False, highlight=False, soft_wrap=True)


def write(found: dict[str, Any], folder: Path) -> None:
    """`latest.json`, and `README.md` made from it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(found, indent=2) + "\n")
    (folder / "README.md").write_text(page(found))


BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"
# What the readme shows of it.
SHOWN = (
    "system.meter",
    "system.transactions",
    "postgres.meter",
    "postgres.transactions",
    "system.idle",
    "cluster.commands",
    "cluster.storm",
    "roaming.status",
)


def with_figures(readme: str, found: dict[str, Any]) -> str:
    """The readme with the newest figures between its two marks; as it is without them."""
    before, mark, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        return readme
    lines = ["| figure | value | p99 ms | x floor |", "|---|--:|--:|--:|"]
    for f in found["figures"]:
        if f["key"] in SHOWN:
            value, p99 = f"{f['value']:,.0f} {f['unit']}", _cell(f["p99_ms"], ",.0f")
            lines.append(f"| {f['title']} | {value} | {p99} | {_cell(f['of_floor'], '.2f')} |")
    when = f"{found['machine']['date'][:10]}, {found['machine']['cores']} cores"
    return f"{before}{BEGIN}\n{chr(10).join(lines)}\n\nMeasured {when}.\n{END}{after}"


def page(found: dict[str, Any]) -> str:
    """The Markdown page."""
    facts, options = found["machine"], found["options"]
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" + "|--:" * (len(HEADINGS) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(found)]
    remarks = [f"- {note}" for note in found["notes"]]
    remarks += [f"- **FAILED** {fault}" for fault in found["faults"]]
    if options["seconds"] < SHORT_S:
        short = f"- a short run ({options['seconds']:g} s per figure): not for quoting"
        remarks.insert(0, short)
    checked = sum(f["facts"].get("verified", 0) for f in found["figures"])
    if checked and found["ok"]:
        remarks.append(
            f"- {checked:,} acknowledged messages of this system were looked up in its database "
            "after it was killed: every one there, exactly once"
        )
    text = (Path(__file__).parent / "page.md").read_text()
    return Template(text).substitute(
        table="\n".join(lines),
        remarks="\n".join(remarks) or "- none",
        libraries=", ".join(f"{name} {v}" for name, v in facts["libraries"].items()),
        pinned="one core each for server and generator" if facts["pinned"] else "cores not pinned",
        **{k: facts[k] for k in ("cpu", "cores", "kernel", "python", "date")},
        filesystem=facts["database_filesystem"] or "unknown",
        commit=facts["commit"] or "not known",
        **options,
    )


def console() -> Console:
    """Where the report goes."""
    return Console(file=sys.stdout)


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of all runs, figures in the order of `TITLES`."""
    whole = Outcome()
    for outcome in outcomes:
        whole.figures += outcome.figures
        whole.notes += outcome.notes
        whole.faults += outcome.faults
    order = list(TITLES)
    whole.figures.sort(key=lambda f: order.index(f.key.removesuffix(".light")))
    return whole
