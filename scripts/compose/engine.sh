#!/usr/bin/env bash
# Starts a docker engine where none answers; needs root. Prints its process id, nothing when one was there.
#
#   engine=$(scripts/compose/engine.sh LOG)      # kill "$engine" ends it
set -euo pipefail
log=$1

if docker info >/dev/null 2>&1; then exit; fi
nohup dockerd >"$log" 2>&1 </dev/null &
pid=$!
for _ in $(seq 150); do
  if docker info >/dev/null 2>&1; then
    echo "$pid"
    exit
  fi
  if ! kill -0 "$pid" 2>/dev/null; then break; fi
  sleep 0.2
done
kill "$pid" 2>/dev/null || true
tail -20 "$log" >&2
echo "dockerd does not answer; its log is $log" >&2
exit 1
