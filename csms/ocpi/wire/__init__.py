"""The wire format: types, objects, and how they are read (leniently) and written (strictly)."""
