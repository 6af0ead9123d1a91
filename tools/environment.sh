#!/bin/sh
# Makes the project's virtual environment in the folder given, or says what is missing and how to
# install it. Works on Debian, Ubuntu and wherever Python 3.11 or newer has venv.
set -eu
venv="$1"

python=""
for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python="$candidate"
        break
    fi
done
if [ -z "$python" ]; then
    echo "Python 3.11 or newer is needed. On Debian 12 or Ubuntu 24.04:" >&2
    echo "  sudo apt-get install python3 python3-venv" >&2
    echo "or name one yourself: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "The venv module is missing. On Debian or Ubuntu:" >&2
    echo "  sudo apt-get install python$version-venv" >&2
    exit 1
fi

echo "Setting up $venv with $("$python" --version) (about a minute, once) ..." >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable '.[dev]'; then
    echo "Installing the dependencies failed; see the lines above." >&2
    echo "A proxy or mirror is set with PIP_INDEX_URL; then run make again." >&2
    exit 1
fi
