"""Post: what one node asks of another, and what it carries.

Who asks hears at once whether the other has taken it (`NodeUnreachable` otherwise: nothing was
done, or nobody knows), and later what came of it. Nothing is sent twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import cache
from typing import Any, Protocol, get_args

from pydantic import TypeAdapter

from csms.core.commands import Command
from csms.core.errors import NodeUnreachable
from csms.core.inquiries import Answer, Inquiry

Handler = Callable[[Mapping[str, Any]], Awaitable[Any]]


class Asked(Protocol):
    """What another node has taken."""

    async def answer(self, within_s: float) -> Any:
        """What came of it, JSON-ready. Raises `NodeUnreachable` when nothing came in time, or it
        went wrong there."""
        ...


class Post(Protocol):
    """The way to other nodes."""

    handlers: dict[str, Handler]
    """What others may ask of this node: name -> what is done."""
    trouble: str | None
    """Why no other node can be asked, where that ought to work."""

    @property
    def asked(self) -> int:
        """How much others were asked."""
        ...

    @property
    def under_way(self) -> int:
        """What others asked and is being worked on; more than `at_once` are refused."""
        ...

    @property
    def at_once(self) -> int: ...

    async def ask(self, node: str, what: str, body: Mapping[str, Any]) -> Asked:
        """Raises `NodeUnreachable`, soon."""
        ...


class NoPost:
    """Where there is no way to other nodes; `why` is for people."""

    trouble: str | None = None
    asked = under_way = at_once = 0

    def __init__(self, why: str) -> None:
        self.handlers: dict[str, Handler] = {}
        self._why = why

    async def ask(self, node: str, what: str, body: Mapping[str, Any]) -> Asked:
        raise NodeUnreachable(f"{node} cannot be asked: {self._why}")


# -- what is carried -----------------------------------------------------------------------------

_KINDS = {kind.__name__: kind for union in (Inquiry, Answer) for kind in get_args(union)}


@cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    named: Any = kind
    return TypeAdapter(named)


def packed(value: Inquiry | Answer) -> dict[str, Any]:
    """An inquiry or an answer as JSON-ready values, with its kind: several look alike."""
    kind: Any = type(value)
    return {"kind": kind.__name__, "value": _adapter(kind).dump_python(value, mode="json")}


def unpacked(parcel: Mapping[str, Any]) -> Any:
    """The inquiry or answer again. Raises `KeyError` or `ValueError` for anything else."""
    return _adapter(_KINDS[parcel["kind"]]).validate_python(parcel["value"])


def packed_command(command: Command) -> dict[str, Any]:
    """A command as it is to be sent, with what the ledger does not show."""
    fields = _adapter(dict[str, Any]).dump_python(command._asdict(), mode="json")
    return dict(fields)


def unpacked_command(parcel: Mapping[str, Any]) -> Command:
    """The command again. Raises `ValueError`."""
    command: Command = _adapter(Command).validate_python(dict(parcel))
    return command
