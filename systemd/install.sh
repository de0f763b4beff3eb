#!/bin/sh
# Installs the agent from this checkout, or removes it: what `make install` and `make uninstall` do.
#
#   sh systemd/install.sh install | uninstall
#
# The agent gets a tree of its own with the libraries of requirements.lock, each checked against its hash; the system's
# Python packages are neither used nor changed. The tree is built beside the old one and takes its place at the end, so an
# installation that fails changes nothing. A configuration that is there is never touched.
#
# Variables:
#   PREFIX=/opt/diaccess-agent    the agent's own tree: nothing else may be in there
#   BINDIR=/usr/local/bin         where the command is linked
#   LIBDIR=/usr/local/lib         where systemd finds the unit, the user and the folders
#   DESTDIR=                      put everything below this folder, and leave this system alone: no root, no systemctl
#   PYTHON=/usr/bin/python3       3.11 or newer, with venv (Debian: apt-get install python3-venv)
#   WHEELS=                       a folder with the wheels of requirements.lock: nothing is downloaded
#   PIP_OPTIONS='--only-binary :all:'
#   PURGE=1                       uninstall: also the configuration, the secrets, the stored readings and the user
set -eu

NAME=diaccess-agent
PREFIX=${PREFIX:-/opt/$NAME}
BINDIR=${BINDIR:-/usr/local/bin}
LIBDIR=${LIBDIR:-/usr/local/lib}
DESTDIR=${DESTDIR:-}
PYTHON=${PYTHON:-/usr/bin/python3}
WHEELS=${WHEELS:-}
PIP_OPTIONS=${PIP_OPTIONS:---only-binary :all:}
PURGE=${PURGE:-}

SOURCE=$(cd "$(dirname "$0")/.." && pwd)
TREE=$DESTDIR$PREFIX
CONFIG=/etc/$NAME
STATE=/var/lib/$NAME

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "$NAME" "$*" >&2; exit 1; }

check_places() {
    for place in "$PREFIX" "$BINDIR" "$LIBDIR"; do
        case $place in /*) ;; *) fail "expected an absolute path, found $place" ;; esac
        case $place in *[!A-Za-z0-9/._-]*) fail "expected a path of letters, digits, / . _ and -, found $place" ;; esac
    done
    if [ -e "$TREE" ] && [ ! -e "$TREE/.$NAME" ] && [ -n "$(ls -A "$TREE")" ]; then
        fail "expected nothing or an earlier installation at PREFIX, found something else: $TREE"
    fi
    if [ -z "$DESTDIR" ] && [ "$(id -u)" != 0 ]; then
        fail "needs root: sudo make $1; or DESTDIR=some/folder to see what it would install"
    fi
}

check_python() {
    command -v "$PYTHON" >/dev/null || fail "there is no $PYTHON: set PYTHON to a Python of 3.11 or newer"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$PYTHON is older than 3.11"
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || fail "$PYTHON has no venv: apt-get install python3-venv"
    home=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
    case $home in
        /root/* | /home/* | /run/* | /tmp/*)
            fail "$PYTHON lives in $home, which the service cannot see: set PYTHON=/usr/bin/python3" ;;
    esac
}

build_tree() {
    new=$1
    "$PYTHON" -m venv "$new"
    # shellcheck disable=SC2086  # options are words
    "$new/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --no-compile --no-deps --require-hashes \
        $PIP_OPTIONS ${WHEELS:+--no-index --find-links="$WHEELS"} -r "$SOURCE/requirements.lock"
    "$new/bin/python" -m pip uninstall --quiet --yes --disable-pip-version-check pip setuptools 2>/dev/null || :

    site=$("$new/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    for package in agent drivers; do
        (cd "$SOURCE" && find "$package" -type d -name __pycache__ -prune -o -type f -print) | while read -r file; do
            install -D -m 644 "$SOURCE/$file" "$site/$file"
        done
    done
    "$new/bin/python" -I -m compileall -q -s "$new" -p "$PREFIX" "$site"

    # What a venv writes of itself names the folder that it was made in. Only these stay, and are told where they will be.
    find "$new/bin" -mindepth 1 ! -name 'python*' -delete
    sed -i "/^command = /d" "$new/pyvenv.cfg"
    cat >"$new/bin/$NAME" <<LAUNCHER
#!$PREFIX/bin/python -I
import sys

from agent.cli import main

sys.exit(main())
LAUNCHER
    chmod 755 "$new/bin/$NAME"

    for file in README.md LICENSE; do
        install -D -m 644 "$SOURCE/$file" "$new/share/doc/$file"
    done
    (cd "$SOURCE" && find config -type f -print) | while read -r file; do
        install -D -m 644 "$SOURCE/$file" "$new/share/$file"
    done
    : >"$new/.$NAME"
    chmod -R u=rwX,go=rX "$new"
}

replace_tree() {
    new=$1
    if [ -e "$TREE" ]; then
        rm -rf "$TREE.old"
        mv "$TREE" "$TREE.old"
    fi
    mv "$new" "$TREE"
    rm -rf "$TREE.old"
}

do_install() {
    check_places install
    check_python
    mkdir -p "$(dirname "$TREE")"
    rm -rf "$TREE.new"
    trap 'rm -rf "$TREE.new"' EXIT
    (umask 022 && build_tree "$TREE.new")
    replace_tree "$TREE.new"

    install -d "$DESTDIR$BINDIR"
    ln -sfn "$PREFIX/bin/$NAME" "$DESTDIR$BINDIR/$NAME"
    for pair in "$NAME.service systemd/system/$NAME.service" "sysusers.conf sysusers.d/$NAME.conf" \
        "tmpfiles.conf tmpfiles.d/$NAME.conf"; do
        place=$DESTDIR$LIBDIR/${pair#* }
        install -d "$(dirname "$place")"
        sed -e "s|/opt/$NAME|$PREFIX|g" "$SOURCE/systemd/${pair%% *}" >"$place.new"
        chmod 644 "$place.new"
        mv "$place.new" "$place"
    done

    first=
    if [ ! -e "$DESTDIR$CONFIG/gateway.yaml" ]; then
        first=yes
        install -d "$DESTDIR$CONFIG"
        id=$(uname -n | sed -e 's/\..*//' -e 's/[^A-Za-z0-9_-]/-/g' -e 's/^[^A-Za-z0-9]*//' | cut -c 1-64)
        sed -e "s|@HOSTNAME@|${id:-gateway}|" -e "s|/opt/$NAME|$PREFIX|g" "$SOURCE/systemd/gateway.yaml" \
            >"$DESTDIR$CONFIG/gateway.yaml"
        chmod 640 "$DESTDIR$CONFIG/gateway.yaml"
    fi
    if [ -n "$DESTDIR" ]; then
        say "$NAME is staged below $DESTDIR; nothing was done to this system."
        return
    fi

    systemd-sysusers "$LIBDIR/sysusers.d/$NAME.conf"
    systemd-tmpfiles --create "$LIBDIR/tmpfiles.d/$NAME.conf"
    systemctl daemon-reload
    say "$NAME $("$PREFIX/bin/$NAME" --version | sed 's/.* //') is installed in $PREFIX."
    if [ -n "$first" ]; then
        say "Next:"
        say "  sudoedit $CONFIG/gateway.yaml
                your devices, and where their readings go
  sudo $NAME check
                says everything that is wrong with it
  sudo systemctl enable --now $NAME
                now, and at every boot
  sudo usermod -aG $NAME \$USER
                who may ask the running agent; counts from the next log-in
  $NAME status"
    else
        say "The configuration was left as it is. Next:"
        say "  sudo $NAME check && sudo systemctl restart $NAME"
    fi
}

do_uninstall() {
    check_places uninstall
    if [ -z "$DESTDIR" ] && systemctl cat "$NAME.service" >/dev/null 2>&1; then
        systemctl disable --quiet --now "$NAME.service"
    fi
    if [ "$(readlink "$DESTDIR$BINDIR/$NAME" || :)" = "$PREFIX/bin/$NAME" ]; then
        rm -f "$DESTDIR$BINDIR/$NAME"
    fi
    rm -f "$DESTDIR$LIBDIR/systemd/system/$NAME.service" "$DESTDIR$LIBDIR/sysusers.d/$NAME.conf" \
        "$DESTDIR$LIBDIR/tmpfiles.d/$NAME.conf"
    rm -rf "$TREE" "$TREE.new" "$TREE.old"
    if [ -n "$PURGE" ]; then
        rm -rf "$DESTDIR$CONFIG" "$DESTDIR$STATE"
    fi
    if [ -n "$DESTDIR" ]; then
        say "$NAME is removed below $DESTDIR."
        return
    fi

    systemctl daemon-reload
    systemctl reset-failed "$NAME.service" 2>/dev/null || : # it may have failed before
    if [ -n "$PURGE" ]; then
        rm -f "/etc/credstore/$NAME".*
        if id "$NAME" >/dev/null 2>&1; then userdel "$NAME"; fi
        say "$NAME is removed, with its configuration, secrets and stored readings."
    else
        say "$NAME is removed. Left: $CONFIG, $STATE and the user (PURGE=1 removes them too)."
    fi
}

case ${1:-} in
    install) do_install ;;
    uninstall) do_uninstall ;;
    *) fail "expected install or uninstall, found ${1:-nothing}" ;;
esac
