#!/bin/sh
# Makes the environment of the foreign network that tests/interop talks to, in the folder given. It
# is apart from the project's own because it pins libraries that do not go with ours. PYTHON names
# the interpreter; by default it is the one of the project's environment (3.11 and 3.12 are known to
# work: the foreign library pins a pydantic that knows no later one).
set -eu
venv="$1"
python="${PYTHON:-.venv/bin/python}"

echo "Setting up $venv with $("$python" --version) (half a minute, once) ..." >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement tests/interop/requirements.txt; then
    echo "Installing the foreign network failed; see the lines above." >&2
    echo "Another Python is named with: make interop PYTHON=/path/to/python3.11" >&2
    exit 1
fi
