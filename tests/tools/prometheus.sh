#!/usr/bin/env bash
# Prints the directory that holds `prometheus` and `promtool`: those on PATH, or those of Debian's package, unpacked once into a cache (nothing is installed).
set -euo pipefail
if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  dirname "$(command -v promtool)"
  exit
fi
cache=${PROMETHEUS_CACHE:-$HOME/.cache/prometheus-package}
if [ ! -x "$cache/usr/bin/promtool" ]; then
  mkdir -p "$cache"
  cd "$cache"
  apt-get download prometheus >&2 || { apt-get update >&2 && apt-get download prometheus >&2; }
  dpkg -x prometheus_*.deb .
  rm prometheus_*.deb
fi
echo "$cache/usr/bin"
