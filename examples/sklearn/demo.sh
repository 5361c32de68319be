#!/usr/bin/env bash
# The digits again, in Python: an image made from Debian's packages shows that any program
# in any image will do. `make demo-sklearn` runs it.
demo=sklearn
cd "$(dirname "$0")/../.."
source examples/lib.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step "1. An image of Debian with scikit-learn (kept for the next time)"
image=${WEFT_DEMO_CACHE:-demo-state}/sklearn-image.tar
if [ ! -f "$image" ]; then
  mkdir -p "$(dirname "$image")"
  . /etc/os-release
  echo "   installing python3-sklearn into a directory; this takes a minute or two …"
  mmdebstrap --quiet --variant=essential --include=python3-sklearn "$VERSION_CODENAME" "$work/root.tar"
  go run ./examples/mkimage -o "$work/image.tar" -name sklearn/digits:v1 -user 65534 -entrypoint python3 \
    -layer "$work/root.tar" examples/sklearn/learn.py:/learn.py examples/sklearn/evaluate.py:/evaluate.py
  rm "$work/root.tar"
  mv "$work/image.tar" "$image"
fi

step "2. A server, and the image pushed to it"
start_server
trap 'stop_server; rm -rf "$work"' EXIT
show $weft image push "$image" -o table

step "3. Data and plans"
split_digits 1 1200 "$work/training"
split_digits 1201 597 "$work/test"
training=$(show $weft data push "$work/training" --name --tag project:sklearn-digits --tag type:training -o json | id knitId)
show $weft data push "$work/test" --name --tag project:sklearn-digits --tag type:test -o json >/dev/null
for plan in learn evaluate; do
  show $weft plan apply "examples/sklearn/plans/$plan.yaml" -o json >/dev/null
done

step "4. The runs"
show $weft run wait --data "$training" --timeout 5m -o table
accuracies project:sklearn-digits
show $weft data lineage "$training" -o tree
