"""How fast the central system is, measured against a floor in the same run: `make bench`.

The nouns of this package:

floor
    A server that does nothing but WebSocket frames and JSON: what Python can do at best here.
package
    The `ocpp` package's own server loop with handlers that store nothing.
system
    This central system as it is run, with a durable SQLite database on a disk.
load
    What the stations say: `meter` (OCPP 1.6 MeterValues), `transactions` (whole OCPP 2.0.1
    transactions), `idle` (nothing after the boot).
lane
    One connection of the generator: one station with one call outstanding.
generator
    This process: it makes the load on a core of its own, and says how busy it was itself.
run
    One server, in a process and on a core of its own, under one load: `system.meter`.
figure
    One number of a run with what is needed to judge it; the report compares figures.

A run of the system ends with a check of the database: what was acknowledged must be there exactly
once, else the benchmark fails. It is no test suite: nothing here asserts a speed.
"""
