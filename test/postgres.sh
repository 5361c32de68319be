#!/bin/sh
# Starts a private PostgreSQL for tests and benchmarks, and stops it again.
#
#   test/postgres.sh start DIR [fast]   prints the URL for WEFT_TEST_POSTGRES; "fast" does not wait for the disk
#   test/postgres.sh stop DIR           stops it and removes DIR
#
# It listens on a Unix socket in DIR only. PostgreSQL refuses to run as root, so that
# for root the user postgres (or nobody) runs it.
set -eu

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
command=$1 dir=$2 fast=${3:-}

bin=$(dirname "$(command -v pg_ctl || ls -d /usr/lib/postgresql/*/bin/pg_ctl 2>/dev/null | sort -V | tail -n 1)")
[ -x "$bin/initdb" ] || { echo "postgres.sh: PostgreSQL is not installed (package postgresql)" >&2; exit 1; }

as=""
if [ "$(id -u)" = 0 ]; then
	user=postgres
	id "$user" >/dev/null 2>&1 || user=nobody
	as="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups --"
fi

case $command in
start)
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	[ -z "$as" ] || chown "$user" "$dir"
	$as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log" >&2; exit 1; }
	{
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$dir'"
		echo "max_connections = 300"
		echo "shared_buffers = 512MB"
		echo "max_wal_size = 4GB"
		echo "checkpoint_timeout = 15min"
		[ "$fast" != fast ] || printf 'fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n'
	} | $as tee -a "$dir/data/postgresql.conf" >/dev/null
	(cd / && $as "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w -t 60 start >/dev/null) || { cat "$dir/data/log" >&2; exit 1; }
	echo "postgres:///postgres?host=$dir&user=postgres"
	;;
stop)
	(cd / && $as "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null) || true
	rm -rf "$dir"
	;;
*) usage ;;
esac
