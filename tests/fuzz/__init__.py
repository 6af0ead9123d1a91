"""Fuzzing of everything that a station can send, on all versions, through the real inbound path.

payloads
    Strategies made from the JSON schemas of the `ocpp` package: payloads that fit them, and the
    ways in which one can almost fit.
frames
    What goes over the wire: calls with such payloads, and everything that is no proper call.
oracle
    What a frame must be answered with, decided from the frame alone with another JSON reader and
    other schema code than the system's own.
network
    Several links in memory on one store: an offender among stations that behave well.
campaign
    One example from beginning to end, its record, and how to replay it.

`make fuzz ARGS="--seconds 600 --seed 7"` runs until the time is up or something fails, and prints
how to replay what failed; `make test` runs a short part with a fixed seed.
"""
