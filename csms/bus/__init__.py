"""The bus: one hint within a process and between nodes (the journal grew; what happened is in the
journal), what one node asks of another, and the feed of events for everybody.

Nouns: a *broker* is an MQTT broker; a *wake-up* is the hint; the *feed* delivers every event; the
*post* carries questions and answers between nodes.
"""
