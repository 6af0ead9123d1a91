"""The configuration file that `csms init` writes: every setting, its default, and what it is for.

The same text without keys is `config/csms.toml`; a test compares both with the settings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

_TEXT = """\
# Configuration of the central system. Every line that is commented out shows the default.
# Environment variables come first: CSMS_OCPP__PORT=9100 sets [ocpp] port.

# Name of this process among several, and in logs: letters, digits and ._- only. Where it is not
# given: the name of the machine, or node-1 with a database file.
# node = ""

# Country code and party id of this network: owner of what is added without an owner.
party = "{party}"

# debug, info, warning, error
# log_level = "info"

[ocpp]
# Where stations connect without TLS; plain = false switches that off. public_url is what
# installers type into stations, when it is not this machine's own address.
# host = "0.0.0.0"
# port = 9000
# plain = true
{public_url}

# Live links, and attempts to connect under way; more get 503. When all stations come at once, as
# after an outage, handshakes_at_once of them are worked on and the others wait, so that nobody who
# is in already has to; no more than links_per_s get in, and boot. One whose turn would take longer
# than handshake_wait_s is told when to come again.
# max_links = 18000
# max_handshakes = 5000
# handshakes_at_once = 100
# handshake_wait_s = 10.0
# links_per_s = 1000.0

# A longer message ends its link.
# max_message_bytes = 524288

# open: from connecting to the end of the handshake. send: a station that does not read for so
# long is cut off. silent: a link on which nothing was heard for so long is cut.
# open_timeout_s = 20.0
# close_timeout_s = 5.0
# send_timeout_s = 20.0
# silent_link_s = 900.0

# After how long without a link the EVSEs of a station are published as unknown.
# offline_grace_s = 300.0

# WebSocket pings; a station can be exempted: csms station switch CP-1 ping false
# ping_interval_s = 50.0
# ping_timeout_s = 50.0

# How long a station may take to answer one of our calls, and after how many in a row without an
# answer its link is cut, so that it comes back.
# call_timeout_s = 30.0
# call_timeouts = 3

# What a station is told when it boots: how often to send a heartbeat, and, while it is not
# accepted, when to boot again. For one that ignores it:
# csms station config set CP-1 HeartbeatInterval 300
# heartbeat_interval_s = 300
# boot_retry_s = 60

# After its link came up or its boot was answered a station is left alone for settle_s; then it is
# asked about open transactions, unknown connectors and its variables, and gets what is desired. So
# many stations at once; what was not clear is asked again after contact_again_s, then less often.
# settle_s = 10.0
# contacts_at_once = 10
# contact_again_s = 60.0

# true: refuse what could be repaired (for certification only).
# strict = false

# What makes of stations do otherwise than the specification: a file of your own, read after the
# one that comes with the program (see docs/quirks.md).
# quirks_file = ""

# Networks whose X-Forwarded-For and X-Forwarded-Proto are believed. true: they say by the PROXY
# protocol (1 or 2) for whom they connect, each time and before anything else; on the port without
# TLS. Headers are then those of that client: they count only where it is such a proxy itself.
# trusted_proxies = ["10.0.0.0/8"]
# proxy_protocol = false

# A station that nobody has added: "refuse" (it is listed: csms station unknown), or "pending": it
# may connect and is told to wait (csms station accept IDENTITY). At most so many are listed, and
# may wait; the oldest make room for others.
# unknown_stations = "refuse"
# max_unknown_stations = 1000
# max_pending_stations = 100

[ocpp.tls]
# Where stations connect with TLS (wss): there is such a port where certificates are given. One pair
# with an RSA key and one with an EC key serve every station. Files are in PEM form, beside this one
# unless the path is absolute; the certificate's file holds the server's own first, then what signed
# it. Files that change are used from the next handshake on (looked at so often, and on SIGHUP).
# port = 9443
{certificates}
# reload_check_s = 10.0

# Handshakes under way at once, and how long one may take.
# max_handshakes = 2000
# handshake_timeout_s = 10.0

[http]
# The operator API. Put a proxy with TLS in front before it listens on anything but loopback.
# host = "127.0.0.1"
# port = 8000
# max_body_bytes = 1048576
# max_wait_s = 60.0
# event_streams = 100

# How long whoever connects (operators and partners) may take until the header of a request is
# whole, and then until its body is; and for how long it may take nothing of its answer.
# header_timeout_s = 10.0
# body_timeout_s = 30.0
# send_timeout_s = 20.0

# Networks whose X-Forwarded-For is believed: from where somebody wrote, in csms audit.
# trusted_proxies = ["10.0.0.0/8"]

[ocpi]
# Other networks. They reach us at public_url, which is also what they are told; by default it is
# the address of [http].
# public_url = "https://csms.example.com/ocpi"

# Who we are to them, role by role; by default party in both roles.
# parties = [{{ role = "CPO", party = "CA*NTH", name = "North" }}]

# Partners are called over https at public addresses only, unless these say otherwise.
# allow_http = false
# allow_networks = ["10.0.0.0/8"]

# How long one answer of a partner may take, and how long it may be; requests to all at once, and to
# one in what goes on by itself (pushes and the reading of its lists).
# timeout_s = 30.0
# max_answer_bytes = 10000000
# requests_at_once = 100
# pushes_at_once = 8

# What one partner may send: bytes of a request, requests per second and at once, and how long the
# answer may take. page is the most objects of one page of a list, ours or theirs.
# max_body_bytes = 1048576
# requests_per_s = 200.0
# requests_burst = 1000
# answer_within_s = 20.0
# page = 100

# How long a token of ours that was replaced still works.
# token_grace_s = 86400.0

# A bill goes to its partner until that has taken or refused it. false: once, as the specification
# has it for what is pushed; what did not arrive is for the partner to find in our list.
# redeliver_cdrs = true

# How long partners that cannot be told of a token to be forgotten are waited for.
# forget_within_days = 7.0

[store]
# A file beside this one, unless the path is absolute (sqlite:////var/lib/csms/csms.db), or a
# database of a PostgreSQL server (14 or newer): postgresql://csms@db.example.com/csms. Its password
# is better in ~/.pgpass or PGPASSWORD than here; special characters of one in here are written %XX.
# Connect to the server itself: a pooler that changes sessions between transactions will not do.
# Of several servers (postgresql://csms@HOST1,HOST2/csms) the one that takes writes is used.
{store_url}
# max_queue = 20000

# Batches under way at once, each with a connection of its own (PostgreSQL only). One serves most:
# what waits for a batch makes the next one larger, and larger ones cost less for each message.
# lanes = 1

# When the database cannot write: how long messages wait before links are closed, so that stations
# keep what they have to say.
# grace_s = 10.0

[bus]
# An MQTT broker that gets every event, and through which nodes ask each other: mqtt://HOST, or
# mqtts://USER:PASSWORD@HOST:PORT over TLS. While it is away nothing is lost, and
# nothing waits but commands to stations of other nodes. docs/events.md says what comes where.
# url = "mqtt://broker.example.com"
# topic = "csms"

# How long it may take to connect or to take an event, and how many are under way at once.
# answer_within_s = 10.0
# events_at_once = 100

[nodes]
# Several processes with one PostgreSQL server: csms node list. Each shows every beat_s that it
# lives; one that has not for lost_after_s (by the clock of who watches) counts as lost: others take
# over what it did. Nodes reach each other over the broker of [bus]; who is asked something has to
# take it within taken_within_s. csms node drain moves so many stations a second. A node that takes
# no stations does for all what only one may do (partners, prices, bills, events).
# beat_s = 1.0
# lost_after_s = 8.0
# taken_within_s = 3.0
# drain_links_per_s = 50.0
# takes_stations = true

[messages]
# The log of OCPP messages (csms station logs), without secrets. Of a link that says more than
# burst at once, or per_minute in the long run, the rest is left out; so is what goes beyond
# rows_per_s for the whole process, and of each message what goes beyond max_chars.
# enabled = true
# burst = 120
# per_minute = 60.0
# rows_per_s = 1000
# max_chars = 2000

[retention]
# How long rows are kept; 0: for ever. What is not settled stays: an open transaction with its
# samples, a command under way. A consumer of events that is further behind than journal_days has
# to begin anew.
# journal_days = 30
# samples_days = 400
# transactions_days = 0
# cdrs_days = 0
# quarantine_days = 365
# commands_days = 90
# aliases_days = 400
# disclosures_days = 730
# audit_days = 730
# nodes_days = 30
# unknown_stations_days = 30

# The answers to writes with an Idempotency-Key, for retries; the log of OCPP messages.
# remembered_writes_hours = 48
# messages_hours = 72

# How often the tables are gone through.
# sweep_minutes = 15.0

[prices]
# Taxes by place and date: the tables that come with the program (config/taxes), and tables of your
# own in the same form, beside this file unless the path is absolute.
# built_in_taxes = true
# tax_files = []

# Under which account (registration number) a tax is collected, by its name in the tables.
# tax_accounts = {{}}

# By how much the bill of a partner may be off what its tariff says (or by the smallest unit of the
# currency) before csms roaming cdrs --differing lists it.
# tolerance_percent = 0.5

[security]
# Keys that station tokens and API keys are hashed with. Without them every token is worthless:
# back this file up. To renew: add a second key, make it current, rotate tokens, take the old out.
current = "{key_id}"
keys = {{ {key_id} = "{key}" }}
"""


_NO_STORE_URL = '# url = "sqlite:///csms.db"'
_NO_CERTIFICATES = "# certificates = []"
_NO_URL = '# public_url = "wss://ocpp.example.com:9443/ocpp"'


def commented(
    party: str,
    key: str,
    key_id: str = "k1",
    *,
    certificates: Sequence[tuple[str, str]] = (),
    public_url: str | None = None,
    store_url: str | None = None,
) -> str:
    """The text of a new configuration. `certificates`: pairs of certificate and key file."""
    listed = _listed(certificates) if certificates else _NO_CERTIFICATES
    url = _NO_URL if public_url is None else _public_url(public_url)
    # A TOML string is written as one of JSON.
    store = _NO_STORE_URL if store_url is None else f"url = {json.dumps(store_url)}"
    return _TEXT.format(
        party=party,
        key=key,
        key_id=key_id,
        certificates=listed,
        public_url=url,
        store_url=store,
    )


def with_certificates(
    text: str, certificates: Sequence[tuple[str, str]], public_url: str | None
) -> str | None:
    """The text of a configuration that is there, with certificates in the place kept for them, and
    the address where none was set; None where that place is taken or gone."""
    lines = text.split("\n")
    if lines.count(_NO_CERTIFICATES) != 1:
        return None
    lines[lines.index(_NO_CERTIFICATES)] = _listed(certificates)
    if public_url is not None and _NO_URL in lines:
        lines[lines.index(_NO_URL)] = _public_url(public_url)
    return "\n".join(lines)


def _listed(certificates: Sequence[tuple[str, str]]) -> str:
    pairs = (f'    {{ certificate = "{c}", key = "{k}" }},\n' for c, k in certificates)
    return f"certificates = [\n{''.join(pairs)}]"


def _public_url(url: str) -> str:
    return f'public_url = "{url}"'
