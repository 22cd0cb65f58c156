#!/usr/bin/env bash
# Builds Traefik into the directory $1, with the definitions of the Gateway API that it wants in $1/crd, unless this very recipe has built it there. Needs Go and a
# Go module proxy: about 8 minutes on 2 cores with cold caches.
set -eu
module=github.com/traefik/traefik/v3@v3.6.12
sum=h1:6pe4s7aaDTQs+AsF7KP3sM/xnq7zOVvibRQe5tw9eFo=
here=$(cd "$(dirname "$0")" && pwd); out=$(realpath -m "${1:?usage: build.sh DIR}")
recipe=$(sha256sum < "$here/build.sh")
if [ "$(cat "$out/recipe" 2>/dev/null)" != "$recipe" ]; then
  mkdir -p "$out"
  # Its go.mod replaces modules, which counts only where it is the main module: so it is built where it was unpacked. Its own go.sum says what the others must be.
  found=$(cd / && go mod download -json "$module")
  grep -qF "\"Sum\": \"$sum\"" <<< "$found" || { echo "$module is not what it was: $found" >&2; exit 1; }
  cd "$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<< "$found")"
  go build -mod=readonly -o "$out/traefik" -trimpath -ldflags "-s -w" ./cmd/traefik
  rm -rf "$out/crd"
  cp -r "$(go list -mod=readonly -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard" "$out/crd"
  chmod -R u+w "$out/crd"
  echo "$recipe" > "$out/recipe"
fi
