#!/bin/sh
# Makes sure that the demonstration has a broker: mosquitto, or else (or with the argument amqtt) a small one from the
# Python package index, in an environment of its own: it brings dozens of packages that the agent must not see.
PATH="$PATH:/usr/sbin"
if [ "${1:-mosquitto}" = mosquitto ]; then
    sh tests/mosquitto.sh 2>/dev/null
    command -v mosquitto >/dev/null && exit 0
    echo "mosquitto cannot be had here."
fi
[ -e .venv-demo/.ready ] && exit 0
echo "Setting up the broker amqtt from the Python package index in .venv-demo ..."
"${PYTHON:-python3}" -m venv --clear .venv-demo &&
    .venv-demo/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement requirements-demo.lock && touch .venv-demo/.ready
