#!/usr/bin/env python3
"""A client for pnetwork servers, in Python's standard library alone (3.9 or later).

It follows docs/protocol.md, version 1, and can be copied into any project as it is.

    from pnetwork_client import Client

    client = Client(port=25565)
    client.bind("said", lambda data: print(data))
    with client:
        print(client.request("greet", "Ada"))

From a shell:

    python3 pnetwork_client.py --host HOST --port PORT request ACTION [JSON]
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import math
import re
import socket
import sys
import threading
import time
from typing import Any, Callable, NoReturn, Optional

VERSION = 1

MAX_HANDSHAKE_BYTES = 4_096
MAX_PACKET_BYTES = 1_048_576
MIN_PACKET_BYTES = 4_096
MAX_DEPTH = 64
MAX_ACTION_LENGTH = 128
MAX_REASON_LENGTH = 256
MAX_ID = 2**53 - 1

MAX_WAITING_PACKETS = 1_024
MAX_WAITING_BYTES = 8_388_608
MAX_PENDING_REQUESTS = 1_024

PARTIAL_LINE_TIMEOUT = 10.0
MIN_LINE_BYTES_PER_SECOND = 1_024
STALL_TIMEOUT = 10.0
DRAIN_TIMEOUT = 10.0
LINGER = 1.0
# How often a thread that waits looks whether the connection is still wanted.
TICK = 0.25

INPUT_ENDED = "the other side ended the connection"

REPLY_CODES = {
    "NO_ACTION",
    "ACTION_FAILED",
    "INVALID_DATA",
    "OVERLOADED",
    "PACKET_TOO_LARGE",
    "GOING_AWAY",
}
HANDSHAKE_CODES = {
    "VERSION_UNSUPPORTED",
    "UNEXPECTED_PACKET",
    "BAD_PACKET",
    "BAD_JSON",
    "BAD_UTF8",
    "PACKET_TOO_LARGE",
    "HANDSHAKE_TIMEOUT",
    "REFUSED",
    "SERVER_FULL",
    "GOING_AWAY",
}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
UUID_V4 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)
CLOSE_CODE = re.compile(r"[A-Z_]{1,64}")


class PnetworkError(Exception):
    """What went wrong: `code` for programs, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(printable(f"{code}: {message}"))
        self.code = code
        self.message = message


class NoConnection(PnetworkError):
    """The connection could not be had, or was lost."""


class HandshakeRefused(PnetworkError):
    """The server did not let this client in."""


class RequestFailed(PnetworkError):
    """A request was not answered with a reply.

    A bound function may raise one with ACTION_FAILED or INVALID_DATA: its message is then what the
    requester reads.
    """


class _Fault(Exception):
    """The other side broke the protocol: the connection ends."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Refused(_Fault):
    """One packet is wrong: it is refused, and the connection is kept."""


class Client:
    """One connection to a server, without a session: it ends with its socket.

    Its bound functions run on a thread of their own, one after another, and may call `send()` and
    `request()`. All methods may be called from any thread.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 25565,
        *,
        auth: Any = None,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        handshake_timeout: float = 5.0,
        request_timeout: Optional[float] = 30.0,
    ) -> None:
        """
        :param auth: What the server is to judge this client by: any JSON.
        :param max_packet_bytes: The longest line that is accepted.
        :param handshake_timeout: Seconds for connecting and the handshake.
        :param request_timeout: Seconds that a request waits; None for as long as the connection.
        """
        if max_packet_bytes < MIN_PACKET_BYTES:
            raise ValueError(f"max_packet_bytes must be at least {MIN_PACKET_BYTES}")
        self.host = host
        self.port = port
        self.id: Optional[str] = None
        """The public name of the connection."""
        self.end: Optional[tuple[str, str]] = None
        """Why the connection ended: a code and a reason. None while it has not."""

        self._auth = auth
        self._max_packet_bytes = max_packet_bytes
        self._handshake_timeout = handshake_timeout
        self._request_timeout = request_timeout

        self._token: Optional[str] = None
        self._peer_max_packet_bytes = MAX_PACKET_BYTES
        self._bound: dict[str, Callable[[Any], Any]] = {}

        self._state = "idle"  # then "open", "closing" and "closed"
        self._sock: Optional[socket.socket] = None
        self._lines = _Lines(MAX_HANDSHAKE_BYTES)
        self._writing = threading.Lock()
        self._closed = threading.Event()

        # Guards what follows, and the state.
        self._changed = threading.Condition()
        self._last_id = 0
        self._pending: dict[int, concurrent.futures.Future[Any]] = {}
        self._waiting: collections.deque[tuple[dict[str, Any], int]] = collections.deque()
        self._waiting_bytes = 0
        self._answering: set[int] = set()
        self._is_handling = False
        self._has_input_ended = False

    def __repr__(self) -> str:
        # Never the token.
        return f"<Client {self.host}:{self.port} {self._state} id={self.id}>"

    def __enter__(self) -> Client:
        return self if self._state == "open" else self.connect()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def token(self) -> Optional[str]:
        """The secret of the connection. Never show it, never pass it on."""
        return self._token

    def bind(self, action: str, function: Callable[[Any], Any]) -> None:
        """Runs `function(data)` when the server sends a packet of that name.

        What it returns is the reply, if the server wants one. Bind before you connect: the server
        may send at once.
        """
        self._bound[check_action(action)] = function

    def connect(self) -> Client:
        """Connects and shakes hands.

        :raises NoConnection: Nobody listens there, or the connection was lost.
        :raises HandshakeRefused: The server did not let this client in.
        :raises PnetworkError: What answers does not speak this protocol.
        """
        if self._state != "idle":
            raise RuntimeError(f"a client connects once, and this one is {self._state}")
        deadline = time.monotonic() + self._handshake_timeout
        self._lines = _Lines(MAX_HANDSHAKE_BYTES)
        try:
            self._sock = socket.create_connection((self.host, self.port), self._handshake_timeout)
        except OSError as error:
            raise NoConnection("CONNECT_FAILED", f"{self.host}:{self.port}: {error}") from error
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._sock.settimeout(TICK)
            self._shake_hands(deadline)
        except _Fault as fault:
            self._leave(fault.code, fault.message)
            raise PnetworkError(fault.code, fault.message) from None
        except OSError as error:
            self._sock.close()
            raise NoConnection("CONNECTION_LOST", str(error)) from error
        except BaseException:
            self._sock.close()
            raise
        self._state = "open"
        for loop in (self._read_all, self._handle_all):
            threading.Thread(target=loop, name=loop.__name__, daemon=True).start()
        return self

    def send(self, action: str, data: Any = None) -> None:
        """Sends a packet that is not answered.

        :raises PnetworkError: The connection has ended, or the line is too long for the server.
        """
        self._write_checked(self._line({"action": check_action(action), "data": data}))

    def request(self, action: str, data: Any = None, timeout: Optional[float] = None) -> Any:
        """Sends a packet and waits for the reply.

        :param timeout: Seconds; the client's `request_timeout` when left out.
        :raises RequestFailed: The server could not or would not answer, or not in time.
        :raises PnetworkError: The connection has ended, or the line is too long for the server.
        """
        packet = {"action": check_action(action), "data": data}
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._changed:
            self._check_open()
            if self._has_input_ended:
                raise NoConnection("CONNECTION_LOST", INPUT_ENDED)
            if len(self._pending) >= MAX_PENDING_REQUESTS:
                raise RequestFailed("OVERLOADED", "too many requests wait for a reply")
            self._last_id += 1
            id_ = self._last_id
            self._pending[id_] = answer
            # The reading thread may have paused: the reply may be next.
            self._changed.notify_all()
        try:
            self._write_checked(self._line({**packet, "id": id_}))
            return answer.result(self._request_timeout if timeout is None else timeout)
        except concurrent.futures.TimeoutError:
            raise RequestFailed("REQUEST_TIMEOUT", "no reply came in time") from None
        finally:
            with self._changed:
                self._pending.pop(id_, None)

    def close(self, reason: str = "closed") -> None:
        """Ends the connection in order. What was sent still arrives."""
        if self._state == "idle":
            return
        self._finish("CLOSED", reason, goodbye=True)
        self._closed.wait()

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits until the connection has ended. Returns whether it has."""
        return self._closed.wait(timeout)

    # The handshake

    def _shake_hands(self, deadline: float) -> None:
        data: dict[str, Any] = {
            "version": VERSION,
            "limits": {"maxPacketBytes": self._max_packet_bytes},
        }
        if self._auth is not None:
            data["auth"] = self._auth
        line = self._line({"action": "@handshake", "data": data})
        if len(line) > MAX_HANDSHAKE_BYTES + 1:
            raise ValueError(f"auth is too long: a handshake has {MAX_HANDSHAKE_BYTES} bytes")
        self._write(line)
        packet = decode(self._first_line(deadline))
        answer = packet.get("data")
        members = answer if isinstance(answer, dict) else {}
        if packet["action"] == "@close":
            raise HandshakeRefused(*close_info(answer))
        if packet["action"] != "@handshake":
            raise _Fault("UNEXPECTED_PACKET", "the server did not answer the handshake")
        if members.get("status") == "error" and is_error(members):
            raise HandshakeRefused(*known(members, HANDSHAKE_CODES, "REFUSED"))
        if members.get("status") != "success":
            raise _Fault("BAD_PACKET", "handshake: status must be success or error")
        if not is_number(members.get("version")) or members["version"] != VERSION:
            raise _Fault("VERSION_UNSUPPORTED", f"this side speaks version {VERSION}")
        self.id = match(UUID, members.get("id"), "id must be a UUID")
        self._token = match(UUID_V4, packet.get("token"), "token must be a UUID of version 4")
        limits = members.get("limits", {})
        if not isinstance(limits, dict):
            raise _Fault("BAD_PACKET", "handshake: limits must be an object")
        limit = limits.get("maxPacketBytes", MAX_PACKET_BYTES)
        if not is_integer(limit) or limit < MIN_PACKET_BYTES:
            raise _Fault("BAD_PACKET", "handshake: limits.maxPacketBytes is out of range")
        self._peer_max_packet_bytes = int(limit)
        self._lines.limit = self._max_packet_bytes

    def _first_line(self, deadline: float) -> bytes:
        while True:
            line = self._lines.next()
            if line is not None:
                return line
            if time.monotonic() > deadline:
                raise _Fault("HANDSHAKE_TIMEOUT", "the handshake took too long")
            chunk = self._receive()
            if chunk == b"":
                raise NoConnection("CONNECTION_LOST", "the server left without an answer")
            self._lines.feed(chunk or b"")

    def _leave(self, code: str, message: str) -> None:
        """Says why this client cannot go on, before it was let in."""
        assert self._sock
        try:
            reason = message[:MAX_REASON_LENGTH]
            self._write(encode({"action": "@close", "data": {"code": code, "reason": reason}}))
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The other side has gone already.
        self._linger()
        self._sock.close()

    # Receiving

    def _read_all(self) -> None:
        assert self._sock
        try:
            self._read_lines()
        except _Fault as fault:
            # Who does not read would not read a goodbye either.
            self._finish(fault.code, fault.message, goodbye=fault.code != "SLOW_CONSUMER")
        except OSError as error:
            self._finish("CONNECTION_LOST", str(error), goodbye=False)
        finally:
            if self._state == "open":
                self._finish("CONNECTION_LOST", "an unexpected error", goodbye=False)
            self._linger()
            self._sock.close()
            with self._changed:
                self._state = "closed"
                self._changed.notify_all()
            self._closed.set()

    def _read_lines(self) -> None:
        pace = _Pace()
        while self._state == "open":
            line = self._lines.next()
            if line is not None:
                pace.restart()
                self._receive_line(line)
                continue
            chunk = self._receive()
            if chunk == b"":
                self._input_ended()
                return
            self._lines.feed(chunk or b"")
            pace.check(len(chunk or b""), self._lines.has_partial)

    def _receive(self) -> Optional[bytes]:
        """The next bytes, b"" at their end, None if there were none for a moment."""
        assert self._sock
        try:
            return self._sock.recv(65_536)
        except socket.timeout:
            return None

    def _receive_line(self, line: bytes) -> None:
        packet = parse_packet(line)
        try:
            check_fields(packet)
        except _Refused as refused:
            check_unnumbered(packet)
            self._refuse(refused)
            return
        if packet.get("token") not in (None, self._token):
            raise _Fault("BAD_TOKEN", "the packet bears a token of another connection")
        check_unnumbered(packet)
        if "reply-to" in packet:
            self._settle(packet)
        elif packet["action"].startswith("@"):
            self._control(packet)
        else:
            self._accept(packet, len(line))

    def _refuse(self, refused: _Refused) -> None:
        data = {"code": refused.code, "message": refused.message}
        self._write(encode({"action": "@error", "data": data}))

    def _settle(self, packet: dict[str, Any]) -> None:
        with self._changed:
            answer = self._pending.pop(int(packet["reply-to"]), None)
        if answer is None:
            return
        if "error" in packet:
            answer.set_exception(
                RequestFailed(*known(packet["error"], REPLY_CODES, "ACTION_FAILED"))
            )
        else:
            answer.set_result(packet.get("data"))

    def _control(self, packet: dict[str, Any]) -> None:
        action = packet["action"]
        if action == "@ping":
            line = encode({"action": "@pong", "data": packet.get("data")})
            # A pong that the server would refuse is better left out.
            if len(line) <= self._peer_max_packet_bytes + 1:
                self._write(line)
        elif action == "@close":
            self._finish(*close_info(packet.get("data")), goodbye=False)
        elif action == "@handshake":
            raise _Fault("UNEXPECTED_PACKET", "the handshake is over")
        # @pong, @error, what belongs to a session and what a later version may send need no answer.

    def _accept(self, packet: dict[str, Any], size: int) -> None:
        if "id" in packet:
            id_ = packet["id"] = int(packet["id"])
            with self._changed:
                is_double = id_ in self._answering
                is_full = len(self._answering) >= MAX_WAITING_PACKETS
                if not is_double and not is_full:
                    self._answering.add(id_)
            if is_double:
                self._refuse(_Refused("BAD_PACKET", f"request {id_} is still being answered"))
                return
            if is_full:
                self._reply_error(packet, "OVERLOADED", "too many requests at once")
                return
        with self._changed:
            # The server waits, unless what comes next may be the reply that a handler waits for.
            while (
                self._state == "open"
                and not self._pending
                and len(self._waiting) >= MAX_WAITING_PACKETS
            ):
                self._changed.wait(TICK)
            self._waiting.append((packet, size))
            self._waiting_bytes += size
            if self._waiting_bytes > MAX_WAITING_BYTES:
                raise _Fault("SLOW_CONSUMER", "too much waits to be handled")
            self._changed.notify_all()

    def _input_ended(self) -> None:
        """The server sends no more. It may still read what it asked for."""
        with self._changed:
            self._has_input_ended = True
        self._fail_pending(NoConnection("CONNECTION_LOST", INPUT_ENDED))
        with self._changed:
            self._changed.wait_for(
                lambda: self._state != "open" or not (self._waiting or self._is_handling),
                DRAIN_TIMEOUT,
            )
        self._finish("CONNECTION_LOST", INPUT_ENDED, goodbye=False)

    # Handling

    def _handle_all(self) -> None:
        while True:
            with self._changed:
                self._is_handling = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._state != "open")
                if self._state != "open":
                    return
                packet, size = self._waiting.popleft()
                self._waiting_bytes -= size
                self._is_handling = True
            try:
                self._handle(packet)
            except (OSError, PnetworkError):
                pass  # The connection has ended, and there is nobody to tell.

    def _handle(self, packet: dict[str, Any]) -> None:
        function = self._bound.get(packet["action"])
        if function is None:
            self._reply_error(packet, "NO_ACTION", "nothing is bound to that action")
            return
        try:
            result = function(packet.get("data"))
            if "id" not in packet:
                return
            line = self._reply_line(packet, {"data": result})
        except RequestFailed as error:
            is_meant = error.code in ("ACTION_FAILED", "INVALID_DATA")
            message = error.message if is_meant else "the action failed"
            self._reply_error(packet, error.code if is_meant else "ACTION_FAILED", message)
        except Exception as error:  # What else it raises is nobody's business but this side's.
            print(f"the function bound to {packet['action']!a} failed: {error!a}", file=sys.stderr)
            self._reply_error(packet, "ACTION_FAILED", "the action failed")
        else:
            if len(line) > self._peer_max_packet_bytes + 1:
                self._reply_error(packet, "PACKET_TOO_LARGE", "the reply is too long for you")
            else:
                self._reply(packet, line)

    def _reply_line(self, packet: dict[str, Any], outcome: dict[str, Any]) -> bytes:
        return self._line({"action": packet["action"], **outcome, "reply-to": packet["id"]})

    def _reply_error(self, packet: dict[str, Any], code: str, message: str) -> None:
        if "id" in packet:
            error = {"code": code, "message": message}
            self._reply(packet, self._reply_line(packet, {"error": error}))

    def _reply(self, packet: dict[str, Any], line: bytes) -> None:
        with self._changed:
            self._answering.discard(packet["id"])
        self._write_checked(line)

    # Sending

    def _line(self, packet: dict[str, Any]) -> bytes:
        """The line of a packet, stamped."""
        stamps = {"packet-created": int(time.time() * 1_000), "token": self._token}
        return encode({**packet, **stamps})

    def _check_open(self) -> None:
        if self._state == "idle":
            raise RuntimeError("the client is not connected: call connect()")
        if self._state != "open":
            raise ended_error(*(self.end or ("CLOSED", "closed")))

    def _write_checked(self, line: bytes) -> None:
        self._check_open()
        limit = self._peer_max_packet_bytes
        if len(line) > limit + 1:
            raise PnetworkError("PACKET_TOO_LARGE", f"the server takes lines of {limit} bytes")
        try:
            self._write(line)
        except OSError as error:
            self._finish("CONNECTION_LOST", str(error), goodbye=False)
            raise NoConnection("CONNECTION_LOST", str(error)) from error

    def _write(self, line: bytes) -> None:
        assert self._sock
        with self._writing:
            rest = memoryview(line)
            deadline = time.monotonic() + STALL_TIMEOUT
            while rest:
                try:
                    rest = rest[self._sock.send(rest) :]
                    deadline = time.monotonic() + STALL_TIMEOUT
                except socket.timeout:
                    if time.monotonic() > deadline:
                        raise OSError("the server does not take what is sent to it") from None

    # Ending

    def _finish(self, code: str, reason: str, goodbye: bool) -> None:
        """Ends this side's half. The reading thread then waits for the other one and closes."""
        assert self._sock
        with self._changed:
            if self._state != "open":
                return
            self._state = "closing"
            self.end = (code, reason)
            self._changed.notify_all()
        self._fail_pending(ended_error(code, reason))
        try:
            if goodbye:
                data = {"code": code, "reason": reason[:MAX_REASON_LENGTH]}
                self._write(encode({"action": "@close", "data": data}))
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The other side has gone already.

    def _fail_pending(self, error: PnetworkError) -> None:
        with self._changed:
            pending = list(self._pending.values())
            self._pending.clear()
        for answer in pending:
            answer.set_exception(error)

    def _linger(self) -> None:
        """Reads on for a moment: input that nobody reads would make the system reset the
        connection, and the goodbye could be lost."""
        deadline = time.monotonic() + LINGER
        try:
            while time.monotonic() < deadline and self._receive() != b"":
                pass
        except OSError:
            pass  # The other side has gone already.


class _Lines:
    """Cuts bytes into lines, none longer than the limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._bytes = bytearray()
        self._scanned = 0

    @property
    def has_partial(self) -> bool:
        return len(self._bytes) > 0

    def feed(self, chunk: bytes) -> None:
        self._bytes += chunk

    def next(self) -> Optional[bytes]:
        """The next line that is whole and not empty, without its end."""
        while True:
            end = self._bytes.find(b"\n", self._scanned)
            length = len(self._bytes) if end == -1 else end
            if length - self._bytes.endswith(b"\r", 0, length) > self.limit:
                raise _Fault("PACKET_TOO_LARGE", f"the line is longer than {self.limit} bytes")
            if end == -1:
                self._scanned = length
                return None
            line = bytes(self._bytes[:end])
            del self._bytes[: end + 1]
            self._scanned = 0
            if line.endswith(b"\r"):
                line = line[:-1]
            if line:
                return line


class _Pace:
    """Finds out when the rest of a line does not come."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._bytes = 0

    def restart(self) -> None:
        self._since = time.monotonic()
        self._bytes = 0

    def check(self, count: int, has_partial: bool) -> None:
        self._bytes += count
        if not has_partial:
            self.restart()
        elif time.monotonic() - self._since > PARTIAL_LINE_TIMEOUT:
            if self._bytes < PARTIAL_LINE_TIMEOUT * MIN_LINE_BYTES_PER_SECOND:
                raise _Fault("HEARTBEAT_TIMEOUT", "the server went silent in the middle of a line")
            self.restart()


def encode(packet: dict[str, Any]) -> bytes:
    """The line of a packet. ASCII only, so that no lone surrogate can stand in its way."""
    return json.dumps(packet, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The packet of a line, in which every known field has its type."""
    packet = parse_packet(line)
    check_fields(packet)
    return packet


def parse_packet(line: bytes) -> dict[str, Any]:
    """The packet of a line, whose fields may be anything yet."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise _Fault("BAD_UTF8", "the line is not UTF-8") from None
    # Of short lines too, for the parser recurses.
    if is_too_deep(text):
        raise _Fault("TOO_DEEP", f"the packet nests deeper than {MAX_DEPTH} levels")
    try:
        packet = parse_json(text)
    except ValueError:
        raise _Fault("BAD_JSON", "the line is not JSON") from None
    if not isinstance(packet, dict):
        raise _Fault("BAD_PACKET", "a packet must be a JSON object")
    return packet


def check_fields(packet: dict[str, Any]) -> None:
    if not is_action(packet.get("action")):
        raise _Refused("BAD_PACKET", "action must be a string of 1 to 128 UTF-16 code units")
    if not isinstance(packet.get("token"), (str, type(None))):
        raise _Refused("BAD_PACKET", "token must be a string or null")
    for field in ("id", "reply-to"):
        if field in packet and not is_id(packet[field]):
            raise _Refused("BAD_PACKET", f"{field} must be a positive integer")
    if "reply-to" not in packet:
        return
    if "id" in packet:
        raise _Refused("BAD_PACKET", "a packet is a request or a reply, not both")
    if "error" in packet and not is_error(packet["error"]):
        raise _Refused("BAD_PACKET", "error must be an object with the strings code and message")


def check_unnumbered(packet: dict[str, Any]) -> None:
    if "seq" in packet or "ack" in packet:
        raise _Fault("PROTOCOL_ERROR", "seq and ack belong to a session, and there is none")


def check_action(name: Any) -> str:
    """The name, if a user may give it to an action."""
    if not is_action(name) or name.startswith("@"):
        raise ValueError(f"{name!a} cannot be an action's name")
    return name


def is_action(name: Any) -> bool:
    if not isinstance(name, str) or re.search("[\ud800-\udfff]", name):
        return False
    return 1 <= utf16_length(name) <= MAX_ACTION_LENGTH


def utf16_length(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def is_too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    without_strings = re.sub(r'"[^"]*"?', "", re.sub(r"\\.", "", text))
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", without_strings):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def is_number(value: Any) -> bool:
    # True is an int here.
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    return is_number(value) and (isinstance(value, int) or value.is_integer())


def is_id(value: Any) -> bool:
    return is_integer(value) and 1 <= value <= MAX_ID


def is_error(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("code"), str)
        and isinstance(value.get("message"), str)
    )


def known(error: dict[str, Any], codes: set[str], fallback: str) -> tuple[str, str]:
    """Code and message. A code that this version does not know counts as the fallback."""
    code, message = error["code"], error["message"]
    return (code, message) if code in codes else (fallback, f"{code}: {message}")


def close_info(data: Any) -> tuple[str, str]:
    """Code and reason of a @close."""
    members = data if isinstance(data, dict) else {}
    code, reason = members.get("code"), members.get("reason")
    is_code = isinstance(code, str) and CLOSE_CODE.fullmatch(code)
    return (
        code if is_code else "CLOSED",
        reason[:MAX_REASON_LENGTH] if isinstance(reason, str) else "no reason given",
    )


def ended_error(code: str, reason: str) -> PnetworkError:
    return (NoConnection if code == "CONNECTION_LOST" else PnetworkError)(code, reason)


def match(pattern: re.Pattern[str], value: Any, rule: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _Fault("BAD_PACKET", f"handshake: {rule}")
    return value


def parse_json(text: str) -> Any:
    """Like json.loads, without what is not JSON and what no double can hold."""
    return json.loads(text, parse_constant=refuse_number, parse_float=parse_float)


def parse_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else refuse_number(text)


def refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def printable(text: str) -> str:
    """The other side's text, unable to move the cursor or to reorder the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parse_port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise ValueError(f"{port} is out of range")
    return port


def argument(what: str, parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """For argparse: says what was required."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!a} is not {what}") from None

    return convert


def main() -> int:
    """Runs the command line.

    :returns: The exit code: 0 it worked, 1 the other side refused or failed, 3 no connection.
        (Wrong usage exits with 2.)
    """
    json_value = argument("JSON", parse_json)
    port = argument("a port from 1 to 65535", parse_port)
    action = argument("the name of an action", check_action)

    parser = argparse.ArgumentParser(description="Talks to a pnetwork server.")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", default=25565, type=port, help="default: %(default)s")
    parser.add_argument("--auth", metavar="JSON", type=json_value, help="what the server is shown")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    request = commands.add_parser("request", help="asks for a reply and prints it as JSON")
    request.add_argument("action", metavar="ACTION", type=action)
    request.add_argument("data", metavar="JSON", type=json_value, nargs="?")
    options = parser.parse_args()

    client = Client(options.host, options.port, auth=options.auth, request_timeout=options.timeout)
    try:
        with client:
            reply = client.request(options.action, options.data)
    except PnetworkError as error:
        print(error, file=sys.stderr)
        return 3 if isinstance(error, NoConnection) else 1
    print(json.dumps(reply))
    return 0


if __name__ == "__main__":
    sys.exit(main())
