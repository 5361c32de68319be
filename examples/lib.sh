# What the demos share. Sourced by them, from the root of the repository.
set -euo pipefail

weft=bin/weft
state=${WEFT_DEMO_STATE:-demo-state/$demo}
server=""

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# show prints a command as one would type it, apart from its output, and runs it.
show() {
  printf '\033[2m$ %s\033[0m\n' "${*/#$weft/weft}" >&2
  "$@"
}

# id reads the id of a Data or a Plan from the JSON that a command prints.
id() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

start_server() {
  rm -rf "$state"
  mkdir -p "$state"
  mkfifo "$state/ready"
  # Its own process group: Ctrl-C ends the demo, and the demo ends the server.
  set -m
  $weft serve --state "$state" --listen 127.0.0.1:0 --log-level warn >"$state/ready" &
  server=$!
  set +m
  trap stop_server EXIT
  local line
  read -r line <"$state/ready" || { echo "the server did not start" >&2; exit 1; }
  rm "$state/ready"
  echo "$line"
  export WEFT_URL=${line##* } WEFT_TOKEN
  WEFT_TOKEN=$(cat "$state/admin.token")
}

stop_server() {
  [ -n "$server" ] || return 0
  kill "$server" 2>/dev/null || true
  wait "$server" || true
  server=""
}

# split_digits FROM COUNT DIR writes some of the pictures into DIR.
split_digits() {
  mkdir -p "$3"
  gzip -dc examples/digits/data/digits.csv.gz | tail -n "+$1" | head -n "$2" >"$3/digits.csv" || true
}

# accuracies TAG prints what the reports with that tag say, oldest first.
accuracies() {
  local report
  $weft data find --tag "$1" --tag type:report -o json | sed -n 's/.*"knitId": *"\([^"]*\)".*/\1/p' | while read -r report; do
    printf '   report %s: accuracy %s\n' "$report" \
      "$($weft data cat "$report" report.json | sed -n 's/.*"accuracy": *\([0-9.]*\).*/\1/p' | head -n 1)"
  done
}

count_runs() { $weft run find --status done -o json | grep -c '"image":' || true; }
