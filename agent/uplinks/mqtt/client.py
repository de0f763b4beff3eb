"""aiomqtt's client with its socket and its acknowledgements replaced.

What aiomqtt 2.5 on paho 2.2 does otherwise, and why that will not do here:

* it reports success for a PUBACK that refuses, and a refusal with 0x95 (which mosquitto sends) ends the session;
* it opens the socket in a thread that cannot be stopped: a connection that was given up comes up later, with our
  client id, and the broker throws the live session out;
* it leaves a publish waiting when the connection dies, and paho keeps the message for another day;
* it writes each packet, and reads each acknowledgement in three calls, and wakes up each second to look at the clock.

So this client lives on a `Wire` that is already open, hands every acknowledgement to `acknowledged` and every end to
`ended`, keeps nothing, and is used for one session. The private names that it touches are those of aiomqtt 2.5 and
paho 2.1 to 2.2; the tests hold each of them to what is needed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import aiomqtt
import paho.mqtt.client as paho
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.interfaces import Unavailable
from agent.uplinks.mqtt import codes
from agent.uplinks.mqtt.settings import UplinkSettings, Version
from agent.uplinks.mqtt.wire import Wire
from agent.upstream import Message

LONGEST_RECEIVED = 1024 * 1024
"""Bytes of a packet from the broker beyond which the session ends: nothing that we ask for is near it."""

_VERSIONS = {Version.V5: aiomqtt.ProtocolVersion.V5, Version.V311: aiomqtt.ProtocolVersion.V311}


class Client(aiomqtt.Client):
    """One session on an open wire."""

    def __init__(self, wire: Wire, settings: UplinkSettings, client_id: str, will: Message | None) -> None:
        host, port = settings.address
        super().__init__(
            host,
            port,
            username=settings.username,
            password=None if settings.password is None else settings.password.reveal(),
            identifier=client_id,
            protocol=_VERSIONS[settings.protocol],
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
            keepalive=round(settings.keepalive.total_seconds()),
            max_inflight_messages=0,  # no limit: the session keeps the window itself
        )
        self.acknowledged: Callable[[int, int, str], None] = _nobody
        """Called with packet identifier, reason code and the broker's own words for each PUBACK."""
        self.ended: Callable[[str], None] = _nobody
        """Called with the reason when wire, broker or paho end the session; more than once, perhaps."""
        self.end = ""
        """The first of those reasons: a broker may end a session before anybody listens."""
        self.received: Callable[[str, bytes], None] = _nobody
        self.announced: Any = None
        """The properties of the CONNACK."""
        self.client_id = client_id
        self._wire = wire
        self._v5 = settings.protocol is Version.V5
        self._content_types: dict[str, _ContentType] = {}
        self._client.disable_logger()
        vars(self._client).update(_create_socket=lambda: wire, _handle_pubackcomp=self._on_puback)
        wire.readable = self._read
        wire.ended = self._wire_ended

    async def open(self) -> None:
        """CONNECT, and wait for the CONNACK. Raises `Unavailable` when the broker refuses or goes away."""
        self._client.connect(self._hostname, self._port, self._keepalive)  # cannot block: the wire is open
        try:
            await self._connected
        except MqttConnectError as error:
            words = codes.explained(_code(error.rc), _own_words(self.announced), self.client_id)
            raise Unavailable(f"the broker refused the session: {words}") from None
        except aiomqtt.MqttError as error:
            raise Unavailable(str(error)) from None

    @property
    def keepalive(self) -> int:
        """Seconds, as the broker decided in the end; 0 for never."""
        return self._client.keepalive

    def size(self, message: Message) -> int:
        """Bytes of the message as a packet (MQTT 5.0, 3.3)."""
        beside = self._beside(message)
        remaining = 2 + len(message.topic.encode()) + len(message.payload)
        remaining += (2 if message.qos else 0) + (len(beside.pack()) if beside else int(self._v5))
        return 1 + max(1, -(-remaining.bit_length() // 7)) + remaining

    def send(self, message: Message) -> int:
        """Write a PUBLISH; its packet identifier."""
        beside = cast("Properties | None", self._beside(message))
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, beside)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unavailable(f"nothing can be sent: {paho.error_string(info.rc)}")
        return info.mid

    def _beside(self, message: Message) -> _ContentType | None:
        if not self._v5 or message.content_type is None:
            return None
        beside = self._content_types.get(message.content_type)
        if beside is None:
            beside = self._content_types[message.content_type] = _ContentType(message.content_type)
        return beside

    def say_goodbye(self) -> None:
        """Write a DISCONNECT, upon which the broker forgets the will and closes the connection."""
        self._client.disconnect()

    def look_at_the_clock(self) -> None:
        """Send a ping if it is due; end the session if the last one was not answered."""
        self._client.loop_misc()

    def _end(self, words: str) -> None:
        self.end = self.end or words
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(words))
        self.ended(words)

    def _wire_ended(self) -> None:
        error = self._wire.error
        if error is not None:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
        else:
            # mosquitto 2.0 ends a session that was taken over like this, with no DISCONNECT before.
            reason = f"closed by the broker without a word; has another client the id {self.client_id}?"
        if not self._connected.done():
            reason = "closed before its CONNACK; does it speak MQTT here, and without TLS?"
        self._end(f"the connection was lost: {reason}")

    def _read(self) -> None:
        try:
            while self._wire.pending() and self._client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                if len(self._client._in_packet["packet"]) > LONGEST_RECEIVED:  # noqa: SLF001  # see above
                    self._end("the broker sent a packet of more than a mebibyte")
                    return
        except Exception as error:  # noqa: BLE001  # paho raises all sorts of things on bytes that are not MQTT
            self._end(f"the broker sent what is not MQTT: {error!r}")

    def _write(self) -> None:
        self._client.loop_write()
        self._wire.flush()

    def _on_puback(self, command: str) -> MQTTErrorCode:  # noqa: ARG002  # paho's signature
        """Instead of paho's own, which raises for 0x95 and makes a dozen objects for each."""
        packet = self._client._in_packet["packet"]  # noqa: SLF001  # see above
        if len(packet) < _PUBACK_LEAST:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        identifier = int.from_bytes(packet[:2], "big")
        self._client._out_messages.pop(identifier, None)  # noqa: SLF001  # see above
        code = packet[2] if self._v5 and len(packet) > _PUBACK_LEAST else 0
        words = _puback_words(bytes(packet[3:])) if code >= codes.FAILURE else ""
        self.acknowledged(identifier, code, words)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.announced = properties
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,  # noqa: ARG002  # paho's signature
        userdata: Any,  # noqa: ARG002
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        """The broker said goodbye, or paho gave up. aiomqtt would leave an exception behind that nobody reads."""
        if flags.is_disconnect_packet_from_server:
            words = codes.explained(reason_code.value, _own_words(properties), self.client_id)
            self._end(f"the broker ended the session: {words}")
        else:
            self._end(f"the session ended: {codes.name(reason_code.value)}")

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:  # noqa: ARG002
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self.received(topic, bytes(message.payload))

    # paho tells when its socket wants to be watched; the wire watches itself.

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        pass

    def _on_socket_close(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        pass

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        self._loop.call_soon(self._write)

    def _on_socket_unregister_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        pass


_properties: Any = Properties
"""paho's types end here."""


class _ContentType:
    """The properties of a PUBLISH, packed once: paho asks for nothing else of them."""

    def __init__(self, text: str) -> None:
        properties = _properties(PacketTypes.PUBLISH)
        properties.ContentType = text
        self._packed = bytes(properties.pack())

    def pack(self) -> bytes:
        """As they travel (MQTT 5.0, 3.3.2.3)."""
        return self._packed


_PUBACK_LEAST = 2
"""Bytes of a PUBACK without a reason code, which then is success (MQTT 5.0, 3.4.2.1)."""


def _nobody(*_: Any) -> None:
    pass


def _own_words(properties: Any) -> str:
    """The broker's own sentence (Reason String, MQTT 5.0, 3.2.2.3.9)."""
    return str(getattr(properties, "ReasonString", ""))


def _puback_words(packed: bytes) -> str:
    if not packed:
        return ""
    properties = _properties(PacketTypes.PUBACK)
    properties.unpack(packed)
    return _own_words(properties)


def _code(reason: int | ReasonCode | None) -> int:
    """The code, whichever of the three types that aiomqtt allows it has; paho gives the second."""
    return reason.value if isinstance(reason, ReasonCode) else reason or 0x80
