"""A fleet: many chargers with their drivers, described by a TOML file.

    url = "ws://127.0.0.1:9000/ocpp"
    speed = 10                        # virtual seconds per wall second
    seed = 1
    tokens = ["DRIVER-1", "DRIVER-2"]
    ca = "tls/ca.pem"                 # optional, for wss: who signed the server's certificate

    [driver]                          # optional, virtual seconds
    stay_s = [120, 900]

    [[charger]]
    id = "CP-1"
    version = "1.6"
    token = "password of CP-1"
    drivers = ["DRIVER-1"]            # optional, who comes here in place of all tokens; nobody: []

The other keys of a charger are the fields of `ChargerProfile`. Where nobody comes, cars are plugged
in all the same when a start was asked for from afar.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chargers.charger import Charger
from chargers.clock import ScaledClock
from chargers.driver import Driver, Habits
from chargers.profile import ChargerProfile, ProfileError
from chargers.state import file_of, load


class FleetError(ValueError):
    """A fleet file cannot be used; the text names file, key and what is allowed."""

    def __init__(self, file: Path, key: str, allowed: str, value: object = None) -> None:
        given = "" if value is None else f" = {value!r}"
        super().__init__(f"{file}: {key}{given}: allowed is {allowed}")
        self.key = key


@dataclass(frozen=True)
class FleetPlan:
    """The content of a fleet file, checked."""

    url: str
    tokens: tuple[str, ...]
    chargers: tuple[ChargerProfile, ...]
    drivers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Who comes to a charger, by its id, where not everybody does."""
    speed: float = 1.0
    seed: int | None = None
    habits: Habits = field(default_factory=Habits)
    ca: Path | None = None
    state: Path | None = None


_TOP_KEYS = ("url", "speed", "seed", "tokens", "ca", "driver", "charger")

_CHARGER_KEYS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "tuple[str, ...]": (list,),
}

_WORDS = {
    "tuple[str, ...]": "a list of texts",
    "str": "a text",
    "str | None": "a text",
    "int": "a whole number",
    "bool": "true or false",
}


def read_plan(file: Path) -> FleetPlan:
    """Read and check a fleet file. Raises FleetError."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FleetError(file, "the file", f"one that can be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FleetError(file, "the file", f"TOML ({error})") from error
    for key in content:
        if key not in _TOP_KEYS:
            raise FleetError(file, key, "one of the keys " + ", ".join(_TOP_KEYS))
    url = content.get("url")
    if not isinstance(url, str) or not url.startswith(("ws://", "wss://")):
        raise FleetError(file, "url", "an address that begins with ws:// or wss://", url)
    speed = content.get("speed", 1.0)
    if not _is_number(speed) or not 0 < speed <= 10_000:
        raise FleetError(file, "speed", "a number above 0, up to 10000", speed)
    seed = content.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise FleetError(file, "seed", "a whole number", seed)
    drivers = _drivers(file, content.get("charger"))
    return FleetPlan(
        url=url,
        tokens=_tokens(file, "tokens", content.get("tokens")),
        chargers=_profiles(file, content.get("charger")),
        drivers=drivers,
        speed=float(speed),
        seed=seed,
        habits=_habits(file, content.get("driver", {})),
        ca=_authority(file, content.get("ca")),
    )


def _authority(file: Path, value: object) -> Path | None:
    """The authority's certificate, beside the fleet file unless the path is absolute."""
    if value is None:
        return None
    found = file.parent / value if isinstance(value, str) else None
    if found is None or not found.is_file():
        raise FleetError(file, "ca", "a file with certificates (PEM)", value)
    return found


def _tokens(file: Path, key: str, value: object, *, some: bool = True) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [None]
    # 20 characters is the limit of 1.6, and a driver may come to every charger.
    right = all(isinstance(text, str) and 0 < len(text) <= 20 for text in texts)
    if not right or (some and not texts):
        raise FleetError(file, key, "a list of texts of 1 to 20 characters", value)
    return tuple(texts)


def _drivers(file: Path, tables: object) -> dict[str, tuple[str, ...]]:
    """Taken out of the tables of the chargers."""
    found: dict[str, tuple[str, ...]] = {}
    for number, table in enumerate(tables if isinstance(tables, list) else [], start=1):
        if isinstance(table, dict) and "drivers" in table:
            key = f"charger[{number}].drivers"
            named = _tokens(file, key, table.pop("drivers"), some=False)
            found[str(table.get("id"))] = named
    return found


def _habits(file: Path, table: object) -> Habits:
    if not isinstance(table, dict):
        raise FleetError(file, "driver", "a table", table)
    known = {field.name for field in dataclasses.fields(Habits)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"driver.{key}"
        if key not in known:
            raise FleetError(file, name, "one of the keys " + ", ".join(sorted(known)))
        if key == "unplug_share":
            if not _is_number(value) or not 0 <= value <= 1:
                raise FleetError(file, name, "a number from 0 to 1", value)
            values[key] = value
            continue
        pair = value if isinstance(value, list) else []
        if len(pair) != 2 or not all(map(_is_number, pair)) or not 0 <= pair[0] <= pair[1]:
            raise FleetError(file, name, "two numbers, the smaller one first", value)
        values[key] = (float(pair[0]), float(pair[1]))
    return Habits(**values)


def _profiles(file: Path, tables: object) -> tuple[ChargerProfile, ...]:
    if not isinstance(tables, list) or not tables:
        raise FleetError(file, "charger", "one or more [[charger]] tables")
    found: list[ChargerProfile] = []
    for number, table in enumerate(tables, start=1):
        place = f"charger[{number}]"
        if not isinstance(table, dict):
            raise FleetError(file, place, "a [[charger]] table", table)
        profile = _profile(file, place, table)
        if any(other.id == profile.id for other in found):
            raise FleetError(file, f"{place}.id", "an id that no other charger has", profile.id)
        found.append(profile)
    return tuple(found)


def _profile(file: Path, place: str, table: dict[str, Any]) -> ChargerProfile:
    fields = {field.name: str(field.type) for field in dataclasses.fields(ChargerProfile)}
    for key, value in table.items():
        if key not in fields:
            raise FleetError(file, f"{place}.{key}", "one of the keys " + ", ".join(fields))
        right = isinstance(value, _CHARGER_KEYS[fields[key]])
        # True is an int to Python, but nobody means 1 by it.
        if not right or (isinstance(value, bool) and fields[key] != "bool"):
            allowed = _WORDS.get(fields[key], "a number")
            raise FleetError(file, f"{place}.{key}", allowed, _shown(key, value))
    if "id" not in table:
        raise FleetError(file, f"{place}.id", "a text: every charger needs one")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    try:
        return ChargerProfile(**values)
    except ProfileError as error:
        value = _shown(error.field, error.value)
        raise FleetError(file, f"{place}.{error.field}", error.allowed, value) from error


def _shown(key: str, value: object) -> object:
    """The value for an error message; a password is not for the terminal."""
    return "..." if key == "token" else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _goes_on_from(plan: FleetPlan) -> datetime:
    """Now, or where the time of an earlier run ended: faster time may have run ahead of it."""
    now = datetime.now(UTC)
    if plan.state is None:
        return now
    kept = [load(file_of(plan.state, profile.id)) for profile in plan.chargers]
    return max([now, *(state.saved_at for state in kept if state is not None)])


class Fleet:
    """The chargers of a plan, each with drivers, on one clock."""

    def __init__(self, plan: FleetPlan) -> None:
        clock = ScaledClock(plan.speed, _goes_on_from(plan))
        self.chargers: list[Charger] = []
        self._drivers: list[Driver] = []
        for profile in plan.chargers:
            rng = random.Random(None if plan.seed is None else f"{plan.seed}/{profile.id}")
            charger = Charger(
                profile, plan.url, clock=clock, rng=rng, authority=plan.ca, state=plan.state
            )
            self.chargers.append(charger)
            tokens = plan.drivers.get(profile.id, plan.tokens)
            self._drivers.append(Driver(charger, tokens, rng, plan.habits))
        self.undrained: list[Charger] = []
        """Chargers that had something left to tell when the deadline came."""

    async def run(self, stop: asyncio.Event, drain_s: float = 10.0) -> None:
        """Run until `stop` is set; then stop all charging, and tell what is left to tell.

        `drain_s` (wall seconds) bounds the telling. What could not be told is in `undrained`.
        """
        async with asyncio.TaskGroup() as tasks:
            for charger in self.chargers:
                tasks.create_task(charger.run(), name=f"{charger.profile.id} run")
            # One turn of the loop, so that every charger runs when its drivers come.
            await asyncio.sleep(0)
            for driver in self._drivers:
                tasks.create_task(driver.run(), name="drivers")
            await stop.wait()
            for driver in self._drivers:
                driver.stop_arriving()
            draining = [
                tasks.create_task(
                    charger.drain(drain_s, for_good=True), name=f"{charger.profile.id} drain"
                )
                for charger in self.chargers
            ]
            drained = await asyncio.gather(*draining)
            self.undrained = [
                charger for charger, done in zip(self.chargers, drained, strict=True) if not done
            ]
            for charger in self.chargers:
                charger.stop()
