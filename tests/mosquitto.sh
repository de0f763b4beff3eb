#!/bin/sh
# Makes sure that mosquitto, the real broker of the tests, is there. Debian puts it into /usr/sbin, which is not on
# every user's path. Exits 0 in any case: the tests say for themselves what they miss, and fail where CI is set.
PATH="$PATH:/usr/sbin"
command -v mosquitto >/dev/null && exit 0
as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null && $as_root true 2>/dev/null; then
    echo "mosquitto is missing: installing it with apt ..."
    # RUNLEVEL=1: invoke-rc.d then does not start Debian's own mosquitto service on port 1883.
    { $as_root apt-get update -qq && $as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --no-install-recommends mosquitto; } >/dev/null 2>&1
    command -v mosquitto >/dev/null && exit 0
fi
echo "mosquitto is missing and cannot be installed from here. As an administrator: apt install mosquitto" >&2
exit 0
