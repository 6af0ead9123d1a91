"""Where this system's time goes: the profiles of its event loop and of its store thread as text."""

from __future__ import annotations

import pstats
from pathlib import Path

from tests.benchmarks.runs import Figure

TOP = 45


def text(file: Path, heading: str, figure: Figure) -> str:
    """The functions that cost most, per message, of a run that dumped its profile."""
    stats = pstats.Stats(str(file))
    found = stats.stats  # type: ignore[attr-defined]
    total = sum(row[2] for row in found.values())
    messages = max(1, figure.facts["acknowledged"])
    per = 1e6 / messages
    lines = [heading, "-" * len(heading)]
    lines.append(f"{total * per:.1f} us per message by the clock, profiled; {messages} messages")
    lines.append("")
    lines.append(f"{'own us':>8} {'with callees':>12} {'calls':>7} {'share':>6}  function")
    rows = sorted(found.items(), key=lambda item: item[1][2], reverse=True)
    for (where, line, function), (_, calls, own, cumulative, _) in rows[:TOP]:
        lines.append(
            f"{own * per:8.2f} {cumulative * per:12.2f} {calls / messages:7.2f} "
            f"{own / total:6.1%}  {_place(where, line)}{function}"
        )
    return "\n".join([*lines, ""])


def _place(where: str, line: int) -> str:
    """A short name of a file: what comes after the installation's folders."""
    if where == "~":
        return ""
    parts = Path(where).parts
    for root in ("site-packages", "csms", "tests"):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            parts = parts[at + 1 :] if root == "site-packages" else parts[at:]
            return f"{'/'.join(parts)}:{line} "
    return f"{parts[-1]}:{line} "
