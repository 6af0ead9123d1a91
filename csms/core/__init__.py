"""The domain: what a charging network knows and how it decides.

Everything here is a plain synchronous function on a unit of work (`ports.Tx`) and frozen values.
No function awaits, reads a clock, draws a random number, logs, or knows of OCPP, OCPI, HTTP or
SQL; time and fresh identifiers are arguments. A function may therefore be run again with the
same arguments after its effects were dropped.

Nouns: a *station* has *EVSEs*, each with *connectors*; a *token* is what a driver shows; a
*transaction* is one charging transaction; a *sample* is a set of meter readings of one moment; a
*command* is somebody's wish about a station; an *event* is a fact in the journal; a *party*
(country code and party id) owns things.
"""
