#!/bin/sh
# Adds FLEET_SIZE stations and two drivers, then runs simulated chargers of all versions at FLEET_URL
# until it is stopped. The working folder keeps their tokens, so that it may be started again.
set -eu
: "${CSMS_API_KEY:?set it to an admin key}" "${FLEET_URL:?set it to ws://HOST:PORT/ocpp}"
{
    echo identity
    seq -f 'SIM-%04.0f' "${FLEET_SIZE:-12}"
} >stations.csv
csms station import stations.csv --tokens-out tokens.csv
for uid in FLEET-A FLEET-B; do
    csms token add "$uid" >/dev/null 2>&1 || csms token list --output json | grep -q "\"$uid\""
done
{
    echo "url = \"$FLEET_URL\""
    echo 'tokens = ["FLEET-A", "FLEET-B"]'
    number=0
    tail -n +2 tokens.csv | tr -d '\r' | while IFS=, read -r identity token rest; do
        set -- 1.6 2.0.1 2.1
        shift $((number % 3))
        printf '\n[[charger]]\nid = "%s"\nversion = "%s"\ntoken = "%s"\n' "$identity" "$1" "$token"
        number=$((number + 1))
    done
} >fleet.toml
exec chargers fleet fleet.toml "$@"
