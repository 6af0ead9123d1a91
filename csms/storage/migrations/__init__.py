"""Schema migrations, run by Alembic on start and by ``csms db upgrade``.

Each file under ``versions`` is one step, written out (it must not change when the tables do).
"""
