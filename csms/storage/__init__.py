"""Where state lives: one store with batches, one set of tables, one driver per database.

A *batch* is what has queued: its functions run one after the other on the store's thread against
one *working set* (the identity map), and leave as one statement per table and shape in one commit.
`store` owns queue, thread and outcomes, `batch` the unit of work, `statements` the SQL, `tables`
the schema, `sqlite` the driver, `reader` the reads for people. Nothing here knows a domain rule.
"""
