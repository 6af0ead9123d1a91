"""Stations: OCPP 1.6J, 2.0.1 and 2.1 on one port.

A *link* is one live WebSocket of a station. Text goes into the *machine* (`rpc`, pure), which
yields a *call*; the link's worker looks up its *route* (`v16.routes`, `v2.routes`: tables as data),
validates, and runs the route's handler in the store; the handler turns the payload into a
version-neutral report and calls one core function. `gateway` accepts sockets and knows identities
and secrets, `registry` knows this node's links, `routing` is what all versions share. Only `v16`
and `v2` know the words of a version.
"""
