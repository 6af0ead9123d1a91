"""The few things that span time: asking outside, and submitting a command and awaiting its outcome.

A flow is a sequence of core functions with waits between them; each step is a transaction of its
own, so a flow can be interrupted between any two.
"""
