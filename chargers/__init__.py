"""Simulated charging stations: what a real charger does, against any central system.

The nouns of this package:

charger
    One simulated charging station with its own identity, password, EVSEs, meters and settings.
EVSE, connector
    A place where one car charges at a time, and the plugs it offers. Numbered from 1; 0 stands
    for "the whole station" (EVSE 0) or "the whole EVSE" (connector 0).
dialect
    What one OCPP version makes of the charger's facts and of the central system's wishes
    (`v16`, `v2`). Everything else in the package is free of versions.
wire
    One live WebSocket connection, with the `ocpp` package on it.
outbox
    The first-in-first-out queue through which every message about a transaction passes, so that
    nothing is lost while the link is down.
ledger
    What the charger did and what the central system acknowledged: the truth a test or an
    operator compares the central system with.
driver
    A person with a car and an RFID token. A fleet is many chargers, each with a driver.

The package imports nothing of the central system in this repository. It speaks through the
`ocpp` package, so that a mistake in the central system's own codec cannot cancel itself out.
"""
