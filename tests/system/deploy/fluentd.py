"""Sends numbered records as Fluentd's forward output does: fluentd.py PORT CA KEY TIME COMMAND [options].

Fluentd itself is in no package registry that tests can count on, so this speaks its side of the forward protocol
(https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1.5): TLS, HELO, PING, PONG, then PackedForward or
CompressedPackedForward with EventTime, a chunk id that ends in a line feed as Ruby's Base64.encode64 writes it, and
`compressed: text` where nothing is compressed. Prints a line for each acknowledgement; exits with 1 if one does not come.
"""

import argparse
import base64
import gzip
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import time

POD = "web-6d5c9b7f88-lq9zt"
CONTAINER = "7c6775b3c117211490ad48b0326d0f4b883525c60b9a8383096151b2a982092e"
TAG = f"kubernetes.var.log.containers.{POD}_shop_web-{CONTAINER}.log"


def pack(value):
    """A value as MessagePack."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return struct.pack("B", value) if value < 128 else b"\xce" + struct.pack(">I", value)
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        text = value.encode()
        if len(text) < 32:
            return bytes([0xA0 | len(text)]) + text
        return b"\xda" + struct.pack(">H", len(text)) + text
    if isinstance(value, list):
        return bytes([0x90 | len(value)]) + b"".join(map(pack, value))
    return bytes([0x80 | len(value)]) + b"".join(pack(key) + pack(item) for key, item in value.items())


class Reader:
    """Reads MessagePack values from a socket, as far as the protocol needs them."""

    def __init__(self, sock):
        self.sock = sock

    def take(self, count):
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError("the server closed the connection")
            data += part
        return data

    def value(self):
        kind = self.take(1)[0]
        if kind < 0x80:
            return kind
        if kind < 0x90:
            return {self.value(): self.value() for _ in range(kind & 15)}
        if kind < 0xA0:
            return [self.value() for _ in range(kind & 15)]
        if kind < 0xC0:
            return self.take(kind & 31)
        if kind in (0xC2, 0xC3):
            return kind == 0xC3
        lengths = {0xC4: ">B", 0xD9: ">B", 0xC5: ">H", 0xDA: ">H", 0xC6: ">I", 0xDB: ">I"}
        if kind in lengths:
            width = struct.calcsize(lengths[kind])
            return self.take(struct.unpack(lengths[kind], self.take(width))[0])
        raise ValueError(f"unexpected type {kind:#x}")


def digest(*parts):
    return hashlib.sha512(b"".join(parts)).hexdigest().encode()


def connect(given, key):
    """An established connection, after both sides have shown that they know the key."""
    context = ssl.create_default_context(cafile=given.ca)
    sock = context.wrap_socket(socket.create_connection(("localhost", given.port), timeout=20), server_hostname="localhost")
    reader = Reader(sock)
    helo = reader.value()
    assert helo[0] == b"HELO", helo
    nonce, salt, name = helo[1].get(b"nonce", b""), os.urandom(16).hex().encode(), b"fluentd"
    ping = ["PING", name.decode(), salt.decode(), digest(salt, name, nonce, key.encode()).decode(), "", ""]
    sock.sendall(pack(ping))
    pong = reader.value()
    assert pong[0] == b"PONG", pong
    if not pong[1]:
        raise PermissionError(pong[2].decode())
    assert pong[3] != name, "Fluentd refuses a server of its own name"
    assert pong[4] == digest(salt, pong[3], nonce, key.encode()), "the server does not know the key"
    return sock, reader


def record(number, now, pad):
    """A record as the operator's agents hand it to Fluentd: parser cri, kubernetes filter with namespace labels."""
    level = "error" if number % 10 == 0 else "info"
    message = {"n": number, "level": level, "msg": f"order {number}"} | ({"pad": "x" * pad} if pad else {})
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".000000000Z",
        "stream": "stderr",
        "logtag": "F",
        "message": json.dumps(message),
        "kubernetes": {
            "pod_name": POD,
            "namespace_name": "shop",
            "pod_id": "1c0ae3a5-1d41-4f0c-bf0c-1f0c9d1b6c55",
            "labels": {"app": "web", "pod-template-hash": "6d5c9b7f88"},
            "host": "node-1",
            "container_name": "web",
            "docker_id": CONTAINER,
            "container_image": "registry.example.com/shop/web:1.4.0",
        },
        "kubernetes_namespace": {"name": "shop", "labels": {"team": "shop"}},
    }


def send(given):
    now = given.time
    entries = b""
    for number in range(given.first, given.first + given.count):
        event_time = b"\xd7\x00" + struct.pack(">II", int(now), number % 1_000_000_000)
        entries += pack([event_time, record(number, now, given.pad)])
    body = gzip.compress(entries) if given.gzip else entries
    chunk = base64.encodebytes(bytes.fromhex(given.chunk)).decode()
    option = {"size": given.count, "compressed": "gzip" if given.gzip else "text", "chunk": chunk}
    message = b"\x93" + pack(given.tag) + b"\xdb" + struct.pack(">I", len(body)) + body + pack(option)
    sock, reader = connect(given, given.key)
    sock.sendall(message)
    if given.lose_ack:
        # As a connection that a middle box cuts: the chunk has arrived, its acknowledgement does not.
        time.sleep(0.3)
        sock.close()
        print("acknowledgement lost on purpose")
        return
    answer = reader.value()
    assert answer == {b"ack": chunk.encode()}, f"expected the chunk's id, found {answer}"
    sock.close()
    print(f"acknowledged {len(entries)} bytes in {len(message)}", flush=True)


def heartbeat(given):
    """A heartbeat of type `transport`: connect, establish, close."""
    connect(given, given.key)[0].close()


def wrong_key(given):
    try:
        connect(given, given.key + "x")
    except (PermissionError, EOFError) as refused:
        print(f"refused: {refused}")
        return
    sys.exit("a wrong key was accepted")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("port", type=int)
    arguments.add_argument("ca")
    arguments.add_argument("key")
    arguments.add_argument("time", type=int, help="seconds since 1970 of every record: a chunk sent again has the same bytes")
    commands = arguments.add_subparsers(required=True)
    sender = commands.add_parser("send")
    sender.add_argument("chunk", help="32 hexadecimal digits")
    sender.add_argument("first", type=int)
    sender.add_argument("count", type=int)
    sender.add_argument("--tag", default=TAG)
    sender.add_argument("--gzip", action="store_true")
    sender.add_argument("--lose-ack", action="store_true")
    sender.add_argument("--pad", type=int, default=0)
    sender.set_defaults(run=send)
    commands.add_parser("heartbeat").set_defaults(run=heartbeat)
    commands.add_parser("wrong-key").set_defaults(run=wrong_key)
    given = arguments.parse_args()
    given.run(given)


main()
