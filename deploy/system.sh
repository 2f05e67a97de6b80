#!/bin/sh
# Install the system parts Moorwatch needs, from Debian's or Ubuntu's own packages, when they are missing.
#
#   sh deploy/system.sh                 what running needs: a Docker engine, a static busybox
#   sh deploy/system.sh --tests         the same, and Prometheus, Alertmanager, VictoriaMetrics, a registry; chromium and npm
#                                       to draw boards
#   sh deploy/system.sh --prometheus    only: Prometheus and Alertmanager, for `make prometheus`
#   sh deploy/system.sh --venv PYTHON   only: can PYTHON make a virtual environment?
#   sh deploy/system.sh --dry-run ...   say what would be done, change nothing
#
# What stays true: nothing is installed that is there already; what is about to be installed is said first; no
# service is left running or enabled that was not so before (Moorwatch starts a Docker daemon of its own when
# none answers). Exit codes: 0 all there, 1 the installation failed, 2 wrong use, 3 a system this script does
# not know, 4 needs root.
set -eu

tests='' dry='' python='' only_venv='' only_prometheus=''
while [ $# -gt 0 ]; do
    case "$1" in
    --tests) tests=yes ;;
    --prometheus) only_prometheus=yes ;;
    --dry-run) dry=yes ;;
    --venv)
        only_venv=yes
        python="${2-}"
        [ $# -ge 2 ] && shift
        ;;
    *)
        echo "usage: sh deploy/system.sh [--dry-run] [--tests | --prometheus | --venv PYTHON]" >&2
        exit 2
        ;;
    esac
    shift
done

say() { echo "system: $*"; }
complain() { echo "system: $*" >&2; }
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

has() { command -v "$1" >/dev/null 2>&1; }
is_static() { has ldd && ! ldd "$1" 2>/dev/null | grep -q '=>'; }

need_venv() {
    if [ -z "$python" ] || ! has "$python"; then
        complain "no Python was found. Install Python 3.11 or later, or name one: make PYTHON=/path/to/python3.11"
        exit 3
    fi
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        complain "$python is $("$python" --version 2>&1); Moorwatch needs Python 3.11 or later."
        complain "Install one and name it: make PYTHON=/path/to/python3.11"
        exit 3
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    packages="$packages $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
}

need_docker() {
    # An engine that is there, or a daemon that is reached some other way, is the user's choice.
    if ! has dockerd && [ -z "${DOCKER_HOST-}" ] && [ ! -S /var/run/docker.sock ]; then
        packages="$packages docker.io"
    elif has dockerd && ! has iptables; then
        packages="$packages iptables"
    fi
    # With AppArmor in the kernel, an engine that cannot load its profile starts no container.
    if grep -qs Y /sys/module/apparmor/parameters/enabled && ! has apparmor_parser; then
        packages="$packages apparmor"
    fi
}

need_busybox() {
    if ! has busybox || ! is_static "$(command -v busybox)"; then
        packages="$packages busybox-static"
    fi
}

need_prometheus() {
    if ! has prometheus || ! has promtool; then
        packages="$packages prometheus"
    fi
    if ! has prometheus-alertmanager && ! has alertmanager; then
        packages="$packages prometheus-alertmanager"
    fi
}

need_metric_store() {
    has victoria-metrics || packages="$packages victoria-metrics"
}

need_registry() {
    has docker-registry || packages="$packages docker-registry"
}

# The AWS CLI's second version, which is no Python package: `aws logs tail` is its own.
need_cli() {
    [ -x /usr/bin/aws ] || [ -x /usr/local/bin/aws ] || packages="$packages awscli"
}

# Boards are drawn by Grafana's component library, from npm, in a browser without a screen.
need_drawing() {
    if ! has chromium && ! has chromium-browser && ! has google-chrome-stable && ! has google-chrome; then
        packages="$packages chromium"
    fi
    has node || packages="$packages nodejs"
    has npm || packages="$packages npm"
}

by_hand() {
    complain "this is not Debian or Ubuntu, so install these by hand:"
    for package in $packages; do
        case "$package" in
        docker.io) complain "  a Docker engine 20.10 or later (dockerd and iptables on the PATH)" ;;
        busybox-static) complain "  busybox, statically linked, as 'busybox' on the PATH (the demo's image is made of it)" ;;
        prometheus) complain "  Prometheus 2.42 or later (prometheus and promtool on the PATH)" ;;
        prometheus-alertmanager) complain "  Alertmanager 0.25 or later (alertmanager and amtool on the PATH)" ;;
        victoria-metrics) complain "  VictoriaMetrics as 'victoria-metrics' on the PATH (only tests use it)" ;;
        docker-registry) complain "  Docker's registry as 'docker-registry' on the PATH (only tests use it)" ;;
        chromium) complain "  Chromium or Google Chrome (only tests use it)" ;;
        awscli) complain "  the AWS CLI, version 2, as /usr/local/bin/aws (only tests use it)" ;;
        nodejs | npm) complain "  Node.js 18 or later with npm (only tests use it)" ;;
        *-venv) complain "  the venv and ensurepip modules of $python" ;;
        *) complain "  $package" ;;
        esac
    done
    exit 3
}

# -- what is missing -----------------------------------------------------------------------------------

packages=''
if [ -n "$only_venv" ]; then
    need_venv
elif [ -n "$only_prometheus" ]; then
    need_prometheus
else
    need_docker
    need_busybox
    if [ -n "$tests" ]; then
        need_prometheus
        need_metric_store
        need_registry
        need_cli
        need_drawing
    fi
fi
packages="${packages# }"
[ -n "$packages" ] || exit 0

has apt-get && has dpkg-query || by_hand
if [ -n "$dry" ]; then
    say "would install: $packages"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    complain "missing: $packages. Installing needs root:"
    complain "  sudo apt-get update && sudo apt-get install --no-install-recommends $packages"
    exit 4
fi

# -- install them, starting nothing --------------------------------------------------------------------

services='docker.socket docker.service containerd.service prometheus.service prometheus-node-exporter.service prometheus-alertmanager.service docker-registry.service victoria-metrics.service'
enabled() { [ -d /run/systemd/system ] && systemctl is-enabled --quiet "$1" 2>/dev/null; }
before=' '
for service in $services; do
    if enabled "$service"; then before="$before$service "; fi
done

say "installing from the distribution's packages: $packages"
say "(none of their services is started or enabled; 'apt-get remove $packages' takes them away again)"

policy=/usr/sbin/policy-rc.d
scratch="$(mktemp -d)"
made_policy=''
cleanup() {
    [ -z "$made_policy" ] || rm -f "$policy"
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
if [ ! -e "$policy" ]; then
    # The distribution's own switch: 101 tells a package's script that starting services is not allowed.
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=yes
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >"$scratch/log" 2>&1 || complain "apt-get update failed; going on with the package lists at hand"
# shellcheck disable=SC2086 # the list is words on purpose
if ! apt-get install -y -qq --no-install-recommends $packages >>"$scratch/log" 2>&1 </dev/null; then
    tail -n 20 "$scratch/log" >&2
    complain "apt-get could not install: $packages (the last lines are above)"
    exit 1
fi

for service in $services; do
    case "$before" in *" $service "*) continue ;; esac
    if enabled "$service"; then
        systemctl disable --now --quiet "$service"
        say "$service was enabled by its package and is disabled again ('systemctl enable --now $service' for it)"
    fi
done
say "installed: $packages"
