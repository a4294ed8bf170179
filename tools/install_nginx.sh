#!/usr/bin/env bash
# The tests of the caching edge run Debian's nginx. Install it where it is missing and we may; otherwise those tests are
# skipped and say so.
set -euo pipefail
{ command -v nginx || [ -x /usr/sbin/nginx ]; } >/dev/null && exit 0
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; }; then
  echo "skipping the tests of the caching edge: nginx is missing and may not be installed here (apt install nginx-light)"
  exit 0
fi
echo "setting up: installing nginx for the tests of the caching edge"
$sudo apt-get update -qq
# Nothing starts by itself: the tests start their own.
$sudo sh -c 'printf "#!/bin/sh\nexit 101\n" > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d'
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light >/dev/null \
  || echo "skipping the tests of the caching edge: nginx could not be installed"
$sudo rm -f /usr/sbin/policy-rc.d
