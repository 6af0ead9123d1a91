#!/bin/sh
# Ends with 0 while the system can do its work.
exec python -c '
import os, sys, urllib.error, urllib.request
port = os.environ.get("CSMS_HTTP__PORT", "8000")
try:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=4)
except (OSError, urllib.error.URLError) as error:
    sys.exit(f"not ready: {error}")
'
