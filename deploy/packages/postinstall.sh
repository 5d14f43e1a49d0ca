#!/bin/sh
# Runs after the files are there. A first installation starts nothing, because the relay needs the database's URL. An
# upgrade restarts a relay that runs: it lets the deliveries under way end first.
# dpkg calls this with "configure" and the version that was there before; rpm with how many versions are there now.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ "$1" = configure ] && [ -n "$2" ] || [ "$1" = 2 ]; then
	systemctl try-restart relay.service
fi
