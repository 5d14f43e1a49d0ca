#!/bin/sh
# Runs before the files go. An upgrade leaves the relay alone; a removal stops it.
# dpkg calls this with "remove" or "upgrade"; rpm with how many versions will be left.
set -e
[ -d /run/systemd/system ] || exit 0
if [ "$1" = remove ] || [ "$1" = 0 ]; then
	systemctl disable --now relay.service
fi
