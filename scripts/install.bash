# shellcheck shell=bash
# What install-demo and install-test share. Sourced, never run.

# Major versions of PostgreSQL that the relay supports, the newest first.
# shellcheck disable=SC2034 # the scripts that source this use it
majors="18 17 16 15"

say() { printf '%s\n' "$*"; }

fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# as_root runs a command as root, directly or by sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "needs root, or sudo, for: $*"
	fi
}

on_debian() { [ -e /etc/debian_version ] && command -v apt-get >/dev/null; }

# cache prints the folder for what no distribution has. Servers started by root run as the user
# postgres, which cannot read root's own folders.
cache() {
	if [ "$(id -u)" = 0 ]; then
		say /var/cache/relay
	else
		say "${XDG_CACHE_HOME:-$HOME/.cache}/relay"
	fi
}

# postgres_dirs MAJOR prints the folders where a server's binaries may be.
postgres_dirs() {
	say "/usr/lib/postgresql/$1/bin"
	say "/usr/pgsql-$1/bin"
	say "/opt/homebrew/opt/postgresql@$1/bin"
	say "/usr/local/opt/postgresql@$1/bin"
	say "/var/cache/relay/postgresql/$1/bin"
	say "$(cache)/postgresql/$1/bin"
}

# has_postgres MAJOR says whether a server of that version is on the machine.
has_postgres() {
	local dir
	while read -r dir; do
		if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
			return 0
		fi
	done < <(postgres_dirs "$1")
	return 1
}

has_package() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# offered PACKAGE says whether the distribution has it. Lists are refreshed once if not.
refreshed=
offered() {
	if ! apt-cache show "$1" >/dev/null 2>&1 && [ -z "$refreshed" ]; then
		refresh
	fi
	apt-cache show "$1" >/dev/null 2>&1
}

refresh() {
	if [ -z "$refreshed" ]; then
		as_root apt-get update -qq
		refreshed=yes
	fi
}

# install_packages PACKAGE… installs packages of the distribution without starting a
# service and without making a PostgreSQL cluster. What it changes for that, a policy for
# services and one line for clusters, it puts back before it ends.
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
install_packages() {
	refresh
	trap restore EXIT
	forbid_services
	if [[ " $* " == *" postgresql-"* ]] && ! has_package postgresql-common; then
		apt_install postgresql-common
	fi
	forbid_clusters
	apt_install "$@"
	restore
	trap - EXIT
}

# apt_install is silent, except when it fails.
apt_install() {
	local log
	log=$(mktemp)
	if ! as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		fail "apt-get install $* failed"
	fi
	rm -f "$log"
}

# forbid_services leaves a policy that is there alone, and stops if that one would let
# services start.
own_policy=
forbid_services() {
	if [ -e "$policy" ]; then
		local answer=0
		"$policy" rabbitmq-server start >/dev/null 2>&1 || answer=$?
		[ "$answer" = 101 ] ||
			fail "$policy lets services start when packages are installed; install by hand what is named above, or let it exit 101 meanwhile"
		return
	fi
	own_policy=yes
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
}

old_clusters=
forbid_clusters() {
	if [ ! -e "$clusters" ]; then
		return
	fi
	old_clusters=$(mktemp)
	cat "$clusters" >"$old_clusters"
	printf '\ncreate_main_cluster = false\n' | as_root tee -a "$clusters" >/dev/null
}

restore() {
	if [ -n "$own_policy" ]; then
		as_root rm -f "$policy"
		own_policy=
	fi
	if [ -n "$old_clusters" ]; then
		as_root tee "$clusters" <"$old_clusters" >/dev/null
		rm -f "$old_clusters"
		old_clusters=
	fi
}
