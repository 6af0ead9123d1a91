"""The few things that span time: asking outside, and submitting a command and awaiting its outcome.

A flow is a sequence of core functions with waits between them; each step is a transaction of its
own, so a flow can be interrupted between any two.

Nouns: a *member* is a node among those that share the store; a *duty* is work that one node does at
a time; *reach* is the way to a station's link, here or on another node.
"""
