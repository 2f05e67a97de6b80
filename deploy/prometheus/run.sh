#!/bin/sh
# Prometheus and Alertmanager for Moorwatch on this machine, until Ctrl-C. Loopback only; data in the state folder.
#
#   sh deploy/prometheus/run.sh                 http://127.0.0.1:9090 and http://127.0.0.1:9093
#   PROMETHEUS_PORT=9190 ALERTMANAGER_PORT=9193 sh deploy/prometheus/run.sh
set -eu

here="$(cd "$(dirname "$0")" && pwd)"
if [ "$(id -u)" -eq 0 ]; then default=/var/lib/moorwatch; else default="${XDG_STATE_HOME:-$HOME/.local/state}/moorwatch"; fi
state="${MOORWATCH_STATE:-$default}"
port="${PROMETHEUS_PORT:-9090}"
alerts="${ALERTMANAGER_PORT:-9093}"
control="${MOORWATCH_PORT:-4580}"
agent="${MOORWATCH_AGENT_PORT:-4581}"

command -v prometheus >/dev/null || { echo "prometheus is not installed: run 'sh deploy/system.sh --prometheus'" >&2; exit 3; }
alertmanager="$(command -v prometheus-alertmanager || command -v alertmanager || true)"

umask 077
data="$state/prometheus"
mkdir -p "$data/rules"
cp "$here"/rules/*.yml "$data/rules/"
sed -e "s/127\.0\.0\.1:4580/127.0.0.1:$control/g; s/127\.0\.0\.1:4581/127.0.0.1:$agent/g" \
    -e "s/127\.0\.0\.1:9093/127.0.0.1:$alerts/g" "$here/prometheus.yml" >"$data/prometheus.yml"

started=''
stop() {
    trap - INT TERM EXIT
    # shellcheck disable=SC2086 # one pid a word
    [ -z "$started" ] || kill $started 2>/dev/null || true
    wait
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

prometheus --config.file="$data/prometheus.yml" --storage.tsdb.path="$data/data" \
    --web.listen-address="127.0.0.1:$port" --log.level=warn &
started="$!"
if [ -n "$alertmanager" ]; then
    "$alertmanager" --config.file="$here/../alertmanager/alertmanager.yml" --storage.path="$data/alertmanager" \
        --web.listen-address="127.0.0.1:$alerts" --cluster.listen-address= --log.level=warn &
    started="$started $!"
fi
echo "Prometheus at http://127.0.0.1:$port (alerts: /alerts, targets: /targets)"
[ -z "$alertmanager" ] || echo "Alertmanager at http://127.0.0.1:$alerts"
wait
