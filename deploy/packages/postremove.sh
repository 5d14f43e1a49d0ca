#!/bin/sh
# Runs after the files are gone. Only dpkg's purge removes the database's URL, which the administrator wrote.
set -e
if [ "$1" = purge ]; then
	rm -f /etc/relay/database-url
	rmdir /etc/relay 2>/dev/null || true
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
