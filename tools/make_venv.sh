#!/usr/bin/env bash
# Make a virtual environment with pip. Debian ships python3 without venv: install it where we may, else say what to do.
set -euo pipefail
venv=$1

for python in "${PYTHON3:-}" python3 python3.13 python3.12 python3.11; do
  [ -n "$python" ] && command -v "$python" >/dev/null || continue
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && break
  python=""
done
if [ -z "${python:-}" ]; then
  echo "Heliograph needs Python 3.11 or newer; set PYTHON3 to its path." >&2
  exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
  if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; }; then
    echo "Python's venv module is missing: apt install python3-venv, then run make again." >&2
    exit 1
  fi
  echo "setting up: installing python3-venv"
  $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
fi
"$python" -m venv "$venv"
