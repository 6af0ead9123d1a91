#!/bin/sh
# The command of a container: `csms` with whatever follows. Before the first `serve` it makes the
# configuration, so that the first admin key stands in the log, once.
set -eu
if [ "${1:-serve}" = serve ] && [ ! -e "$CSMS_CONFIG" ]; then
    csms init --config "$CSMS_CONFIG"
fi
exec csms "${@:-serve}"
