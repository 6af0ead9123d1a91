"""The objects of OCPI 2.2.1, one module each as the specification has them.

Fields have the names, cardinalities, types and lengths of the specification's tables; a test
compares them with a checkout of it, and `docs/ocpi-2.2.1-fields.md` shows the comparison.
"""
