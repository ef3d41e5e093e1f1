#!/usr/bin/env bash
# Installs what is missing of the database servers that tests/servers.py starts. Debian would also
# create a PostgreSQL cluster and start it as a service; the tests need the programs only.
set -euo pipefail

PATH="$PATH:/usr/sbin"
service_policy=/usr/sbin/policy-rc.d
cluster_policy=/etc/postgresql-common/createcluster.d/celers-tests.conf

have() { command -v "$1" >/dev/null; }

missing=()
if [ -z "${CELERS_TEST_POSTGRES_URL:-}" ] && ! have postgres &&
  ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
  missing+=(postgresql)
fi
if [ -z "${CELERS_TEST_MYSQL_URL:-}" ] && ! { have mariadbd && have mariadb-install-db; }; then
  missing+=(mariadb-server-core mariadb-client-core)
fi
have pgbouncer || missing+=(pgbouncer)
# What docs/operations/backup.md uses, whoever runs the servers.
have pg_dump || [[ " ${missing[*]} " == *" postgresql "* ]] || missing+=(postgresql-client)
{ have mariadb-dump && have mariadb-binlog; } || missing+=(mariadb-client)
have sqlite3 || missing+=(sqlite3)
# Wrong clocks, for the fault suite.
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime)
[ -n "${CELERS_TEST_MYSQL_URL:-}" ] || [ -e /usr/lib/galera/libgalera_smm.so ] ||
  missing+=(galera-4)
# Which check the files that are shipped for them; neither is started.
have systemd-analyze || missing+=(systemd)
have promtool || missing+=(prometheus)
[ ${#missing[@]} -gt 0 ] || exit 0

give_up() {
  echo "make servers: ${missing[*]} missing, and $1." >&2
  echo "Install PostgreSQL and MariaDB in your system's way, or name running servers in" >&2
  echo "CELERS_TEST_POSTGRES_URL and CELERS_TEST_MYSQL_URL, or test on SQLite: make test-sqlite" >&2
  exit 1
}

have apt-get || give_up "there is no apt-get here to install them"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  have sudo || give_up "only root can install them (there is no sudo)"
  as_root=(sudo)
fi

# Only what we put there is taken away again.
placed=()
place() {
  [ ! -e "$1" ] || return 0
  "${as_root[@]}" install -D -m 755 /dev/stdin "$1"
  placed+=("$1")
}
trap '[ ${#placed[@]} -eq 0 ] || "${as_root[@]}" rm -f "${placed[@]}"' EXIT

place "$service_policy" <<<$'#!/bin/sh\nexit 101  # start no service'
[[ " ${missing[*]} " != *" postgresql "* ]] ||
  place "$cluster_policy" <<<'create_main_cluster = false'

apt_get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
echo "Installing ${missing[*]}"
"${apt_get[@]}" update || echo "apt-get update failed; trying with what it knew" >&2
"${apt_get[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
