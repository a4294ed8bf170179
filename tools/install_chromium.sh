#!/usr/bin/env bash
# The page tests drive Debian's Chromium. Install it where it is missing and we may; otherwise those tests are skipped
# and say so.
set -euo pipefail
command -v chromium >/dev/null && exit 0
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; }; then
  echo "skipping the page tests: Chromium is missing and may not be installed here (apt install chromium)"
  exit 0
fi
echo "setting up: installing Chromium for the page tests"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null \
  || echo "skipping the page tests: Chromium could not be installed"
