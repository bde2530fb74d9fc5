#!/bin/sh
# Runs the whole bot against local-slack, a Slack that this project did not write. To be started in a network
# namespace of its own (`make e2e-slack`): local-slack listens on every address it finds.
# usage: local_slack.sh LOCAL_SLACK_PROGRAM PYTHON
set -eu
ip link set lo up
"$1" --config tests/e2e/local_slack.yaml --port 3300 --base-host 127.0.0.1 >/dev/null &
server=$!
trap 'kill "$server"' EXIT
LOCAL_SLACK_URL=http://127.0.0.1:3300 "$2" -m pytest tests/e2e/test_local_slack.py
