#!/bin/sh
# Makes sure that the demonstration has a broker: mosquitto, or else a small one from the Python package index, in an
# environment of its own (it brings a hundred packages' worth of dependencies that the agent must not see).
PATH="$PATH:/usr/sbin"
sh tests/mosquitto.sh 2>/dev/null
command -v mosquitto >/dev/null && exit 0
[ -e .venv-demo/.ready ] && exit 0
echo "mosquitto cannot be had here: setting up a broker from the Python package index in .venv-demo (MQTT 3.1.1 only) ..."
"${PYTHON:-python3}" -m venv --clear .venv-demo &&
    .venv-demo/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement requirements-demo.lock && touch .venv-demo/.ready
