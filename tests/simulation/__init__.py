"""A whole network in virtual time: hours of it in seconds, and the same for the same seed.

Real parts on all sides: the chargers of `chargers/`, the links, flows and core of the system, the
store in memory, partners that are networks of ours. Only what would need sockets, threads or real
time is replaced: connections (`pipes`), requests to partners (`internet`), threads of the store
(`stores`), the clock.
"""
