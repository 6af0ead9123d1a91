"""An open EV charging network in a box: the central system.

A **station** connects over OCPP (``csms.ocpp``), its messages become neutral reports that one
core function each turns into state (``csms.core``) inside a unit of work (``csms.storage``), and
operators read and command the result over HTTP (``csms.api``) and the command line (``csms.cli``).
``csms.flows`` holds the few things that span time, ``csms.bus`` carries the hint that the journal
grew, and ``csms.app`` puts the parts together.
"""
