"""The official conformance cases for a central system, as tests that carry their ids."""
