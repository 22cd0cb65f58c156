#!/usr/bin/env bash
# static.sh ARCHITECTURE PROGRAM...: builds programs for Linux, each as one static file (musl), and prints where they are. ARCHITECTURE as images call it: amd64,
# arm64. Any machine builds for any: the C compiler and linker are zig's, from PyPI's package, kept in a cache. Needs Rust (with rustup) and Python's pip.
# PROFILE in the environment is another profile of cargo than `dist`, FURTHER are further arguments for cargo; FLAGGER_REVISION is shown by -version.
set -euo pipefail
cd "$(dirname "$0")/.."
case $1 in
  amd64) target=x86_64-unknown-linux-musl ;;
  arm64) target=aarch64-unknown-linux-musl ;;
  *) echo "static.sh: there is no build for $1: amd64 or arm64" >&2 && exit 2 ;;
esac
shift
profile=${PROFILE:-dist}
packages=()
for program in "$@"; do
  case $program in
    flagger) packages+=(-p controller --features controller/jemalloc) ;;
    loadtester) packages+=(-p loadtester) ;;
    *) echo "static.sh: there is no image of $program: flagger or loadtester" >&2 && exit 2 ;;
  esac
done
tools=${ZIGBUILD_CACHE:-$HOME/.cache/zigbuild}
if [ ! -x "$tools/bin/cargo-zigbuild" ]; then
  python3 -m pip install --quiet --target "$tools" cargo-zigbuild==0.24.0 ziglang==0.17.1 >&2
fi
rustup target add "$target" >&2
export PATH=$tools/bin:$PATH PYTHONPATH=$tools${PYTHONPATH:+:$PYTHONPATH}
# shellcheck disable=SC2086 # they are meant to be split
cargo zigbuild --quiet --profile "$profile" --target "$target" "${packages[@]}" ${FURTHER:-} >&2
for program in "$@"; do
  echo "target/$target/$profile/$program"
done
