"""Data that comes with the program, as files that people read and change: `quirks.toml`."""
