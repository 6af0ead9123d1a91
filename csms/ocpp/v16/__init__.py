"""OCPP 1.6J: the words of the version, one file per functional block.

Connector N is EVSE N with one connector; connector 0 is the station (OCPP 1.6 4.9).
"""
