#!/usr/bin/env bash
# Container engines for tests: with sockets and storage of their own, and nothing left of them.
#
#   engine.sh start docker|podman|rootless DIR   starts one, prints where it listens (DOCKER_HOST)
#   engine.sh as DIR COMMAND...                  runs a command as a user who is not root
#   engine.sh restart DIR                        stops the engine and starts it again
#   engine.sh stop DIR                           ends it and everything it runs, and removes DIR
#
# docker and podman are engines with root, on whose socket the user may write; rootless is
# Podman of that user. DIR must be short: the path of a socket has 107 characters at most.
set -euo pipefail
fail() { echo "engine.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "start this as root: it makes a user who is not"

# identify gives each DIR a user of its own, so that one's engine can be ended without
# ending another's.
identify() {
  dir=$(realpath "$1")
  local n=$(($(cksum <<<"$dir" | cut -d' ' -f1) % 900))
  uid=$((61000 + n)) base=$((6100000 + n * 65536))
}

# A limit that the engine cannot raise must not be asked for.
files=$(ulimit -Hn); [ "$files" != unlimited ] || files=1048576

# private runs a command, or becomes it with run=exec, in a mount namespace of which /etc
# has the user and some devices.
private() {
  ${run:-} unshare --mount --propagation private bash -c '
    dir=$1 over=$(mktemp -d "$1/over.XXXX"); shift
    mkdir "$over/upper" "$over/work"
    mount -t overlay -o "lowerdir=$dir/etc:/etc,upperdir=$over/upper,workdir=$over/work" overlay /etc
    exec "$@"' - "$dir" "$@"
}

as_user() {
  private env -i PATH="$PATH" HOME="$dir/home" TMPDIR="$dir/home/tmp" XDG_RUNTIME_DIR="$dir/home/run" DOCKER_HOST="$(cat "$dir/host")" \
    CONTAINERS_CONF="$dir/containers.conf" ${WEFT_TEST_ENV:+$WEFT_TEST_ENV} setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"
}

write_files() {
  mkdir -p "$dir/etc/cdi" "$dir/home/tmp" "$dir/home/run"
  chmod 755 "$dir"
  for f in passwd group subuid subgid; do cat "/etc/$f" 2>/dev/null >"$dir/etc/$f" || true; done
  echo "weft-test:x:$uid:$uid::$dir/home:/bin/sh" >>"$dir/etc/passwd"
  echo "weft-test:x:$uid:" >>"$dir/etc/group"
  for f in subuid subgid; do echo "weft-test:$base:65536" >>"$dir/etc/$f"; done
  cat >"$dir/etc/cdi/test.json" <<END
{"cdiVersion": "0.5.0", "kind": "weft.test/device", "devices": [
  {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/zero"}], "env": ["DEVICE=0"]}},
  {"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/full"}], "env": ["DEVICE=1"],
    "mounts": [{"hostPath": "$dir/etc/cdi", "containerPath": "/cdi", "options": ["bind", "ro"]}]}}]}
END
  echo "of a device" >"$dir/etc/cdi/text"
  chown -R "$uid:$uid" "$dir/home"
  chmod 700 "$dir/home"
  cat >"$dir/containers.conf" <<END
[containers]
default_ulimits = ["nofile=$files:$files"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
}

# launch starts the engine in a session of its own and waits until it answers.
launch() {
  local kind sock
  kind=$(cat "$dir/kind") sock=$dir/engine.sock
  case $kind in
    docker)
      setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" --host "unix://$sock" --group "$uid" \
        --iptables=false --ip6tables=false --bridge=none >>"$dir/log" 2>&1 & ;;
    podman)
      CONTAINERS_CONF="$dir/containers.conf" private setsid podman --root "$dir/data" --runroot "$dir/exec" --tmpdir "$dir/tmp" --runtime runc --cgroup-manager cgroupfs \
        system service --time 0 "unix://$sock" >>"$dir/log" 2>&1 & ;;
    rootless)
      sock=$dir/home/engine.sock
      echo "unix://$sock" >"$dir/host"
      as_user setsid podman --root "$dir/home/data" --runroot "$dir/home/exec" --tmpdir "$dir/home/run/libpod" --runtime runc --cgroup-manager cgroupfs \
        system service --time 0 "unix://$sock" >>"$dir/log" 2>&1 & ;;
  esac
  echo $! >"$dir/pid"
  echo "unix://$sock" >"$dir/host"
  for _ in $(seq 200); do
    if [ -S "$sock" ] && curl -fsS --max-time 5 --unix-socket "$sock" http://engine/_ping >/dev/null 2>&1; then
      [ "$kind" = rootless ] || { chgrp "$uid" "$sock"; chmod 660 "$sock"; }
      return
    fi
    kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
    read -r -t 0.1 _ <> <(:) || true
  done
  tail -n 20 "$dir/log" >&2
  fail "no container engine of kind $kind can be started here; what it said stands above"
}

# processes are those whose arguments have our directory in them, and those of our user:
# the engine, and what it has left beside containers.
processes() {
  local file
  { grep -lsF -- "$dir/" /proc/[0-9]*/cmdline || true; } | while read -r file; do
    grep -qsF engine.sh "$file" || { file=${file#/proc/}; echo "${file%/cmdline}"; }
  done
  ps -e -o pid=,uid= | awk -v uid="$uid" -v base="$base" '$2 == uid || $2 >= base && $2 < base + 65536 {print $1}'
}

case ${1:-} in
  start)
    kind=$2 dir=$3
    mkdir -p "$dir"
    identify "$dir"
    echo "$kind" >"$dir/kind"
    write_files
    launch
    cat "$dir/host" ;;
  as)
    identify "$2"
    shift 2
    run=exec # so that signals reach the command
    as_user "$@" ;;
  restart)
    identify "$2"
    pid=$(cat "$dir/pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do read -r -t 0.1 _ <> <(:) || true; done
    launch ;;
  stop)
    identify "$2"
    if [ -e "$dir/pid" ]; then kill "$(cat "$dir/pid")" 2>/dev/null || true; fi
    for _ in $(seq 50); do
      left=$(processes)
      [ -n "$left" ] || break
      kill -KILL $left 2>/dev/null || true
      read -r -t 0.1 _ <> <(:) || true
    done
    # Mounts of containers that were ended the hard way.
    while read -r _ _ _ _ point _; do case $point in "$dir"/*) umount -l "$point" 2>/dev/null || true ;; esac; done < <(tac /proc/self/mountinfo)
    rm -rf "$dir" ;;
  *) fail "usage: engine.sh start docker|podman|rootless DIR | as DIR COMMAND... | restart DIR | stop DIR" ;;
esac
