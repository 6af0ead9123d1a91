"""The operator API: HTTP under ``/api/v1``, for people's tools and for the command line.

Keys carry a role (viewer, operator, admin). Errors are ``application/problem+json``; lists are
paged by cursor; writes take an ``Idempotency-Key`` and leave an audit entry in the journal. Reads
go to the database, so that a client sees its own write.
"""
