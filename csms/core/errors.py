"""One hierarchy for "cannot continue", with stable codes.

Expected outcomes (a blocked token, a duplicate start) are values, not exceptions. Each adapter owns
one table from `code` to its own language: OCPP CALLERROR, HTTP problem, CLI exit code.
"""

from __future__ import annotations


class CsmsError(Exception):
    """Base of all errors that cross a layer. `code` is stable, `detail` is for people."""

    code = "internal_error"

    def __init__(self, detail: str = "", **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class NotFound(CsmsError):
    """The named thing does not exist (or does not belong to the asking party)."""

    code = "not_found"


class AlreadyExists(CsmsError):
    """Something with that unique key exists."""

    code = "already_exists"


class Refused(CsmsError):
    """The wish is understood and cannot be granted in the present state."""

    code = "refused"


class Invalid(CsmsError):
    """A value from outside is not usable; `detail` names it."""

    code = "invalid"


class StationOffline(CsmsError):
    """No live link to the station, so it cannot be asked anything now."""

    code = "station_offline"


class NodeUnreachable(CsmsError):
    """The node that holds a station's link cannot be asked; `detail` says why, and what to do."""

    code = "node_unreachable"


class StoreUnavailable(CsmsError):
    """The store cannot write now. Nothing was changed; the caller must not acknowledge."""

    code = "store_unavailable"


class StoreOverloaded(StoreUnavailable):
    """The queue in front of the store is full. Nothing was changed."""

    code = "store_overloaded"


class StoreRefused(CsmsError):
    """The database refuses a value of this one function (constraint, size, encoding)."""

    code = "store_refused"


class PartnerUnreachable(CsmsError):
    """A partner's system gives no usable answer now."""

    code = "partner_unreachable"


class PartnerRefused(CsmsError):
    """A partner's system answered that it will not."""

    code = "partner_refused"
