"""What a partner is about to be told of drivers, noted before it leaves (`core.disclosures`).

The facts are taken from the objects as they go out, so what is noted is what was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from csms.core import disclosures
from csms.core.disclosures import AT_ONCE, LOCATION, Module, Told
from csms.core.partners import Partner
from csms.ocpi.network import Network
from csms.ocpi.wire import reading

# What of a token is no fact about its driver: whose it is stands beside, and when it changed.
_BESIDE = frozenset({"country_code", "party_id", "last_updated"})
_TOLD_OF_A_CHARGE = ("uid", "type", "contract_id")


async def disclose(network: Network, partner: Partner, told: Iterable[Told]) -> None:
    """Note what is told next; before it is sent, or the answer with it given. Raises what the store
    raises: what cannot be noted must not be told."""
    rows = list(told)
    for n in range(0, len(rows), AT_ONCE):
        chunk = rows[n : n + AT_ONCE]
        needs = disclosures.needs(partner.id, chunk)
        await network.store.transact(
            disclosures.note, partner.id, chunk, network.clock(), needs=needs
        )


def of_token(told: Mapping[str, Any], module: Module, location: str | None = None) -> Told:
    """A token object of the tokens module."""
    facts = {name: _plain(value) for name, value in told.items() if name not in _BESIDE}
    if location is not None:
        facts[LOCATION] = location
    return Told(_party(told), str(told["uid"]), str(told["type"]), module, facts)


def of_charge(token: Mapping[str, Any], module: Module, *place: object) -> Told:
    """The token of a session or a record (CdrToken), and where the charge is: the id of the
    location, the uid of the EVSE."""
    facts = {name: _plain(token[name]) for name in _TOLD_OF_A_CHARGE if name in token}
    facts[LOCATION] = where(*place)
    return Told(_party(token), str(token["uid"]), str(token["type"]), module, facts)


def where(*place: object) -> str:
    """A place in one text: location, EVSEs."""
    return " ".join(str(part) for part in place if part)


def _party(token: Mapping[str, Any]) -> str:
    return f"{token['country_code']}*{token['party_id']}".upper()


def _plain(value: Any) -> Any:
    """As JSON without decimals: a fact is compared and shown, not calculated with."""
    if value is None or isinstance(value, str | bool | int):
        return value
    return reading.dump(value).decode()
