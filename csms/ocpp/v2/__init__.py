"""OCPP 2.0.1 and 2.1: the words of both versions, one file per functional block.

For charging the two are the same; what only 2.1 has is in `only21`.
"""
