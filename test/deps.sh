#!/usr/bin/env bash
# Installs the Debian packages named that are not there yet, and says so.
# Without root or apt it says what to install instead.
set -euo pipefail
missing=()
for package in "$@"; do
  case $package in
    postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql) ;;
    containers) # whatever runs them: runc for root, else an engine
      if [ "$(id -u)" = 0 ]; then command -v runc /usr/sbin/runc >/dev/null || missing+=(runc)
      else command -v podman docker >/dev/null || missing+=(podman); fi ;;
    docker.io) PATH=$PATH:/usr/sbin command -v dockerd >/dev/null || missing+=(docker.io) ;; # "docker" is the client alone
    uidmap) command -v newuidmap >/dev/null || missing+=(uidmap) ;; # for Podman without root
    gcc) { command -v gcc && [ -f /usr/include/stdlib.h ]; } >/dev/null || missing+=(gcc libc6-dev) ;; # for the race detector
    *) PATH=$PATH:/usr/sbin:/sbin command -v "$package" >/dev/null || missing+=("$package") ;;
  esac
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Please install: ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]} …"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "Installing failed; please install by hand: ${missing[*]}" >&2
  exit 1
fi
rm -f "$log"
