#!/usr/bin/env bash
# Our load generator and `hey`, side by side against the same server: requests per second of CPU time (user and system), and how well each holds a rate.
# Fails when ours prints something else, makes less than twice the requests of hey per CPU second, or holds a rate not within 1 % up to half of what it sends without one.
#
#   tests/load/compare.sh [COMMAND...]     COMMAND: what answers to `COMMAND hey ...`; default: the example program, built here
#   ANSWER: the program that answers, if it is built already (crates/load/examples/answer.rs)
#
# Needs Rust and Go; hey is built once, into $LOAD_TOOLS (~/.cache/load-tools). Three rounds, of which the median counts.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=${LOAD_TOOLS:-$HOME/.cache/load-tools}
seconds=${SECONDS_EACH:-3}
rounds=${ROUNDS:-3}
hey_version=v0.1.4

[ -x "$tools/hey" ] || GOBIN="$tools" GOFLAGS=-mod=mod go install "github.com/rakyll/hey@$hey_version"
ours=("$@")
if [ $# -eq 0 ] || [ -z "${ANSWER:-}" ]; then
  target=$(cargo metadata --format-version 1 --no-deps --offline | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  cargo build --release --quiet -p load --examples
  ANSWER=$target/release/examples/answer
  [ $# -gt 0 ] || ours=("$target/release/examples/load")
fi

work=$(mktemp -d)
"$ANSWER" >"$work/port" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
until [ -s "$work/port" ]; do sleep 0.1; done
url="http://127.0.0.1:$(cat "$work/port")/"

measure() { # measure COMMAND...: requests, requests a second, CPU seconds, seconds in all
  local TIMEFORMAT='%U %S %R'
  { time "$@" "$url" >"$work/out"; } 2>"$work/time"
  awk 'NR == FNR { cpu = $1 + $2; wall = $3; next }
    /^  Requests\/sec:/ { rate = $2 }
    /^  \[200\]\t/ { requests += $2 }
    /^Error distribution/ { wrong = 1 }
    END { if (wrong || !requests) exit 1; print requests, rate, cpu, wall }' "$work/time" "$work/out" ||
    { echo "a request failed:" >&2; cat "$work/out" >&2; exit 1; }
}

# What both print and how they end, numbers and bars aside.
alike() { # alike ARGUMENTS...
  local tool
  for tool in hey ours; do
    local command=("$tools/hey")
    [ $tool = hey ] || command=("${ours[@]}" hey)
    local code=0
    "${command[@]}" "$@" >"$work/out" 2>/dev/null || code=$?
    { sed -E 's/[0-9]+(\.[0-9]+)?/N/g; s/■//g' "$work/out"; echo "exit code $code"; } >"$work/alike-$tool"
  done
  diff "$work/alike-hey" "$work/alike-ours" || { echo "hey $*: not printed alike"; failed=1; }
}

median() { sort -g | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

failed=0
alike -n 1000 -c 10 "$url"
alike -n 20 -c 2 -o csv "$url"
alike -z 1s -q 50 -c 2 -m POST -d '{}' "$url"
for wrong in -bogus "-c x" "-n 2 -c 3" "-c 0" "-H nothing" ""; do
  # shellcheck disable=SC2086 # arguments
  alike $wrong ${wrong:+"$url"}
done
for workers in 4 50; do
  : >"$work/hey"
  : >"$work/ours"
  for _ in $(seq "$rounds"); do
    measure "$tools/hey" -z "${seconds}s" -c "$workers" | awk '{ print $1 / $3 }' >>"$work/hey"
    measure "${ours[@]}" hey -z "${seconds}s" -c "$workers" | awk '{ print $1 / $3 }' >>"$work/ours"
  done
  theirs=$(median <"$work/hey")
  own=$(median <"$work/ours")
  printf '%3d workers, no rate: hey %6.0f, ours %6.0f requests per CPU second: %.2f times\n' \
    "$workers" "$theirs" "$own" "$(awk "BEGIN { print $own / $theirs }")"
  awk "BEGIN { exit !($own >= 2 * $theirs) }" || failed=1
done

# What the machine can do changes with what else it does, so each round measures that first, and one round that holds the rate shows that it is held.
for round in $(seq "$rounds"); do
  most=$(measure "${ours[@]}" hey -z "${seconds}s" -c 50 | awk '{ print $2 }')
  for share in 2 4 16; do
    rate=$(awk "BEGIN { print $most / $share / 50 }") # a worker
    measure "${ours[@]}" hey -z "${seconds}s" -c 50 -q "$rate" | awk -v rate="$rate" '{ print ($2 / rate / 50 - 1) * 100, rate * 50, $2 }' >>"$work/rate$share"
    [ "$round" -gt 1 ] || measure "$tools/hey" -z "${seconds}s" -c 50 -q "$rate" | awk -v rate="$rate" '{ print ($2 / rate / 50 - 1) * 100 }' >"$work/theirs$share"
  done
done
for share in 2 4 16; do
  read -r off wanted got < <(awk '{ off = $1 < 0 ? -$1 : $1; if (NR == 1 || off < least) { least = off; best = $0 } } END { print best }' "$work/rate$share")
  printf '1/%-2d of the most, 50 workers: %.0f wanted, %.0f sent, %.2f %% off; hey %.2f %% off\n' "$share" "$wanted" "$got" "$off" "$(cat "$work/theirs$share")"
  awk "BEGIN { exit !($off < 1 && $off > -1) }" || failed=1
done
[ $failed -eq 0 ] || { echo "less than promised"; exit 1; }
