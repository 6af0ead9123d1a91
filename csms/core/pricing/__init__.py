"""Prices: from charging periods and a tariff to a cost, by one pure function (`cost.price`).

The same function serves a running session, a charge detail record, a statement, an audit and the
check of somebody else's record, so they cannot disagree. Nouns: *terms* are a tariff as understood;
an *element* groups *components* (the price of one *dimension*: flat, energy, time, parking time)
under *restrictions*; a *period* is a stretch of a session during which no price changes; a *charge*
is what one component asks for one period; a *line* sums the charges of a component over a session.

Decimal only. Rules: OCPI 2.2.1 and 2.3.0 mod_tariffs and mod_cdrs; where these leave a choice, the
function that makes it says so. What is odd is a warning on the cost, never an exception: the cost
of a session that has happened must be known.
"""
