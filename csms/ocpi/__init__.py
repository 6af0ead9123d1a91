"""OCPI: how this network talks to others.

Nouns: a *partner* is one connection to another platform, known by its credentials token; it speaks
for *parties* (country code, party id) in *roles*, and so do we. A *module* (tokens, locations) has
two *interfaces*: the *sender* owns the objects, the *receiver* is told of them. *Push* is the owner
writing to the receiver, *pull* the receiver reading the owner's list. A *session* is what a
charging transaction is called here, and in `core.pricing`, which prices those of others as well.

Only OCPI 2.2.1 is on the wire (`wire.v221`). The text of the specification is cited by its module
and section, never copied.
"""
