#!/usr/bin/env bash
# Learns handwritten digits with Weft: push, plan, run, lineage, pull. `make demo` runs it.
# It works on a state directory of its own, and begins anew each time.
demo=digits
cd "$(dirname "$0")/../.."
source examples/lib.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step "1. A server, with everything embedded"
start_server
trap 'stop_server; rm -rf "$work"' EXIT

step "2. Two programs become images, without a container engine"
for program in trainer evaluator; do
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/$program" "./examples/digits/$program"
  go run ./examples/mkimage -o "$work/$program.tar" -name "digits/$program:v1" -user 65534 -entrypoint "/$program" "$work/$program:/$program"
  show $weft image push "$work/$program.tar" -o table
done

step "3. Real handwriting becomes Data"
split_digits 1 600 "$work/training-600"
split_digits 1201 597 "$work/test"
training=$(show $weft data push "$work/training-600" --name --tag project:digits --tag type:training -o json | id knitId)
show $weft data push "$work/test" --name --tag project:digits --tag type:test -o json >/dev/null
$weft data find --tag project:digits -o table

step "4. Two plans: one trains on every training set, one tests every model"
show $weft plan apply --dry-run examples/digits/plans/train.yaml -o table
for plan in train evaluate; do
  show $weft plan apply "examples/digits/plans/$plan.yaml" -o json >/dev/null
done

step "5. Nobody starts anything: the tags match, so it runs"
show $weft run wait --data "$training" --timeout 2m -o table
[ "$(count_runs)" = 2 ] || { echo "expected 2 runs, found $(count_runs)" >&2; exit 1; }
accuracies project:digits

step "6. Where did it come from?"
show $weft data lineage "$training" -o tree
show $weft data lineage "$training" -o svg >"$state/lineage.svg"
echo "   drawn in $state/lineage.svg"

step "7. One more training set makes exactly the runs that are new"
split_digits 1 1200 "$work/training-1200"
show $weft data push "$work/training-1200" --dry-run --name --tag project:digits --tag type:training -o table
more=$(show $weft data push "$work/training-1200" --name --tag project:digits --tag type:training -o json | id knitId)
show $weft run wait --data "$more" --timeout 2m -o table
[ "$(count_runs)" = 4 ] || { echo "expected 4 runs, found $(count_runs)" >&2; exit 1; }
accuracies project:digits

step "8. Take the results home"
report=$($weft data find --tag project:digits --tag type:report -o json | id knitId)
show $weft data pull -x "$report" "$work/home"
ls "$work/home/$report"

cat <<END

It works. Try next:

    $weft serve --state $state &                 # the server again, on what is there
    $weft run find                               # what ran
    $weft run log RUN                            # what it printed
    $weft plan graph PLAN                        # what the tags connect
    $weft data push DIR --tag project:digits --tag type:training
    less docs/tutorial.md
END
