"""The floor of the whole chain: the shortest Python that polls, keeps and publishes the same readings.

One blocking loop, no scheduling, no faults, no timestamps of its own, no reading apart: every second it asks each
device once, unpacks the answer, writes one row per device in one durable SQLite transaction, and publishes one JSON
message per device at QoS 1. Nothing that does the same work in Python can do with much less; the agent is measured as
a multiple of it. Usage: floor.py FOLDER BROKER_PORT REGISTERS MODBUS_PORT...
"""

from __future__ import annotations

import json
import socket
import sqlite3
import struct
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt


def main(folder: Path, broker_port: int, registers: int, modbus_ports: list[int]) -> None:
    """Run until killed."""
    store = sqlite3.connect(folder / "floor.db", isolation_level=None)
    store.executescript("pragma journal_mode=wal; pragma synchronous=full; pragma wal_autocheckpoint=200;")
    store.execute("create table if not exists row(number integer primary key, data blob)")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", broker_port)
    client.loop_start()
    connections = [socket.create_connection(("127.0.0.1", port)) for port in modbus_ports]
    request = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, registers)
    unpack = struct.Struct(f">{registers // 2}f").unpack
    due = time.monotonic()
    number = 0
    while True:
        rows = []
        for device, connection in enumerate(connections):
            connection.sendall(request)
            answer = connection.recv(512)
            rows.append((device, unpack(answer[9 : 9 + 2 * registers])))
        store.execute("begin")
        store.executemany(
            "insert or replace into row values (?, ?)",
            [(number + i, repr(values)) for i, (_, values) in enumerate(rows)],
        )
        store.execute("delete from row where number < ?", (number,))
        store.execute("commit")
        for device, values in rows:
            readings = [
                {"point": f"p{i}", "value": value, "quality": "good"} for i, value in enumerate(values)
            ]
            client.publish(
                f"floor/{device}",
                json.dumps({"device": device, "readings": readings}, separators=(",", ":")),
                qos=1,
            )
        number += len(rows)
        due += 1.0
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), [int(port) for port in sys.argv[4:]])
