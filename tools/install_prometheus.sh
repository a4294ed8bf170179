#!/usr/bin/env bash
# The tests of dashboards and alerts ask Debian's Prometheus. Install it where it is missing and we may; otherwise those
# tests are skipped and say so.
set -euo pipefail
command -v prometheus >/dev/null && command -v promtool >/dev/null && exit 0
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; }; then
  echo "skipping the tests of dashboards and alerts: Prometheus is missing and may not be installed here (apt install prometheus)"
  exit 0
fi
echo "setting up: installing Prometheus for the tests of dashboards and alerts"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null \
  || echo "skipping the tests of dashboards and alerts: Prometheus could not be installed"
