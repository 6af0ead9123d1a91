"""The command line ``csms <noun> <verb>``.

Every command is one call of the operator API (or a paged series of one call), so that it works the
same from any machine; only `local` runs the system itself. Exit codes: 0 done, 1 refused or failed,
2 usage, 3 cannot reach the server, 4 station offline, 5 timed out.
"""
