#!/usr/bin/env python3
"""A small peer of Drawdown, written from protocol/WIRE.md and nothing else.

    peer.py pull HOST PORT --count N [--window W] [--future C] [--listen]
    peer.py push HOST PORT [--listen]

`pull` prints each payload as a line, confirms it, and ends after N messages. `push` sends each line of its standard input and ends
when all are confirmed. With --future, `pull` keeps up to C copies of messages that wait, and says in the end how many messages it
had that way. With --listen it accepts one connection instead of making one, and says `listening PORT` on standard error;
port 0 is any free port.
"""

import argparse
import select
import socket
import struct
import sys
import time
import uuid
from collections import deque

MAGIC = b"DRAWDOWN"
VERSION = 1
HELLO, ATTACH, GRANT, ECHO, DEMAND, DATA, SETTLE, TAKEN, RETRACT, HEARTBEAT, CLOSE = range(1, 12)
FUTURE, COPIES, TAKE, RECALL = range(24, 28)
FUTURES = 1 << 4
CONFIRMED, REJECTED, RELEASED, RETRY_IN, EXTENDED, EXPIRED = range(6)
PUSH, PULL = 0, 1
DONE, PROTOCOL_VIOLATION, VERSION_MISMATCH, SOCKET_TYPE_MISMATCH, CREDIT_EXCEEDED, TOO_LARGE = range(6)

HANDSHAKE_BYTES_MAX = 4_096
CONTROL_BYTES_MAX = 65_536
DATA_BYTES_MAX = 32 + 1_048_576 + 1_030  # and one message
RANGES_MAX = 1_024
MESSAGE_BYTES_MAX = 1_048_576
OVERHEAD_BYTES = 32
COST_BEYOND_PAYLOAD_MAX = 1_062
HANDSHAKE_S = 2
HANGUP_S = 2
HEARTBEAT_MISSES = 3


class LinkEnded(Exception):
    """The link is of no more use."""


class Violation(Exception):
    """The other side broke a rule; it is told so."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code


class Body:
    """The fields of a frame's body, read one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        end = self.at + count
        if end > len(self.data):
            raise Violation(PROTOCOL_VIOLATION, "a body is too short")
        self.at, start = end, self.at
        return self.data[start:end]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def u8(self):
        return self.number("B")

    def u16(self):
        return self.number("H")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def flag(self):
        value = self.u8()
        if value > 1:
            raise Violation(PROTOCOL_VIOLATION, f"a bool of {value}")
        return value == 1

    def uuid(self):
        return self.take(16)

    def option_uuid(self):
        return self.uuid() if self.flag() else None

    def text(self):
        return self.take(self.u64()).decode(errors="replace")

    def items(self, read):
        count = self.u64()
        if count > RANGES_MAX:
            raise Violation(PROTOCOL_VIOLATION, f"a list of {count} items")
        return [read() for _ in range(count)]

    def span(self):
        first, count = self.u64(), self.u64()
        if count == 0 or first + count >= 1 << 64:
            raise Violation(PROTOCOL_VIOLATION, "a span that is none")
        return range(first, first + count)

    def end(self):
        if self.at != len(self.data):
            raise Violation(PROTOCOL_VIOLATION, "bytes are left in a body")


def spans(ranges):
    ranges = list(ranges)
    return struct.pack("<Q", len(ranges)) + b"".join(struct.pack("<QQ", r.start, len(r)) for r in ranges)


class Link:
    """Preface, frames, handshake and liveness: what is the same for both roles."""

    def __init__(self, connection):
        self.connection = connection
        self.input = bytearray()
        self.version_agreed = False
        self.peer = None
        self.heard = time.monotonic()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def shake_hands(self, socket_type, session=None, features=0):
        self.write(MAGIC + bytes([VERSION, VERSION, 0, 0]))
        session_field = b"\x01" + session if session else b"\x00"
        hello = struct.pack("<I", socket_type) + uuid.uuid4().bytes + session_field
        # No heartbeats; no wish for TAKEN.
        self.send(HELLO, hello + struct.pack("<QQIB", features, MESSAGE_BYTES_MAX, 0, 0))
        kind, body = self.frame()
        if kind != HELLO:
            raise Violation(PROTOCOL_VIOLATION, "something came before HELLO")
        self.peer = {
            "type": body.u32(),
            "peer": body.uuid(),
            "session": body.option_uuid(),
            "features": body.u64(),
            "message_bytes_max": body.u64(),
            "heartbeat_ms": body.u32(),
            "reports_taken": body.flag(),
        }
        body.end()
        if {self.peer["type"], socket_type} != {PUSH, PULL}:
            raise Violation(SOCKET_TYPE_MISMATCH, "a PUSH talks to a PULL")
        theirs = self.peer["message_bytes_max"]
        sent, taken = (MESSAGE_BYTES_MAX, theirs) if socket_type == PUSH else (theirs, MESSAGE_BYTES_MAX)
        if sent > taken:
            raise Violation(TOO_LARGE, f"messages of up to {sent} bytes are sent, up to {taken} are taken")

    def write(self, data):
        try:
            self.connection.sendall(data)
        except OSError:
            # The other side has hung up. What it said before is still to be read; its end will tell.
            pass

    def send(self, kind, body):
        self.write(struct.pack("<B3xI", kind, len(body)) + body)

    def close(self, code, reason):
        """Says the last word, and waits for the other side to hang up: what it still says would else destroy that word."""
        text = reason.encode()
        try:
            self.send(CLOSE, struct.pack("<IQ", code, len(text)) + text)
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(HANGUP_S)
            while self.connection.recv(1 << 18):
                pass
        except OSError:
            # The other side was faster.
            pass

    def patience_s(self):
        """For how long the other side may still be silent; None: as long as it likes."""
        if self.peer is None:
            limit = HANDSHAKE_S
        elif self.peer["heartbeat_ms"] == 0:
            return None
        else:
            limit = HEARTBEAT_MISSES * self.peer["heartbeat_ms"] / 1_000
        return max(0.0, self.heard + limit - time.monotonic())

    def frame(self):
        """The next frame: its kind, and its body."""
        while True:
            frame = self.buffered_frame()
            if frame:
                if frame[0] == CLOSE:
                    code, reason = frame[1].u32(), frame[1].text()
                    raise LinkEnded(f"the peer closed the link, code {code}: {reason}")
                return frame
            self.read_more()

    def read_more(self):
        readable, _, _ = select.select([self.connection], [], [], self.patience_s())
        if not readable:
            raise LinkEnded("nothing was heard for too long")
        try:
            data = self.connection.recv(1 << 18)
        except OSError as error:
            raise LinkEnded(str(error)) from error
        if not data:
            raise LinkEnded("the connection ended without CLOSE")
        self.heard = time.monotonic()
        self.input += data

    def buffered_frame(self):
        if not self.version_agreed:
            if len(self.input) < 12:
                return None
            self.read_preface()
        if len(self.input) < 8:
            return None
        kind, zeros, length = struct.unpack_from("<B3sI", self.input)
        if zeros != bytes(3) or not (HELLO <= kind <= CLOSE or FUTURE <= kind <= RECALL):
            raise Violation(PROTOCOL_VIOLATION, "a header that means nothing")
        if length > self.body_bytes_max(kind):
            raise Violation(TOO_LARGE, f"a frame of {length} bytes")
        if len(self.input) < 8 + length:
            return None
        body = bytes(self.input[8:8 + length])
        del self.input[:8 + length]
        return kind, Body(body)

    def body_bytes_max(self, kind):
        if self.peer is None:
            return HANDSHAKE_BYTES_MAX
        return DATA_BYTES_MAX + MESSAGE_BYTES_MAX if kind in (DATA, COPIES) else CONTROL_BYTES_MAX

    def read_preface(self):
        oldest, newest = self.input[8], self.input[9]
        if self.input[:8] != MAGIC:
            raise Violation(PROTOCOL_VIOLATION, "the peer does not speak Drawdown")
        if not oldest <= VERSION <= newest:
            raise Violation(VERSION_MISMATCH, f"the peer speaks versions {oldest} to {newest}")
        del self.input[:12]
        self.version_agreed = True


class Puller:
    """The receiver: one sender, every message done as soon as it is there."""

    def __init__(self, link, window, future):
        self.link, self.window, self.future = link, window, future
        # Each by its number: payload, cost.
        self.copies = {}
        self.next_copy = self.taken_copies = 0
        self.serial = 0
        self.received_messages = self.received_bytes = 0
        self.granted_messages = self.granted_bytes = 0
        session = link.peer["session"]
        if session is None:
            raise Violation(PROTOCOL_VIOLATION, "a sender without a session")
        link.send(ATTACH, session + spans([]) * 3 + b"\x00")
        if future and link.peer["features"] & FUTURES:
            link.send(FUTURE, struct.pack("<QQ", future, self.future_bytes()))
        self.grant()

    def future_bytes(self):
        return self.future * (self.link.peer["message_bytes_max"] + COST_BEYOND_PAYLOAD_MAX)

    def grant(self):
        self.serial += 1
        cost_max = self.link.peer["message_bytes_max"] + COST_BEYOND_PAYLOAD_MAX
        self.granted_messages = self.received_messages + self.window
        self.granted_bytes = self.received_bytes + self.window * cost_max
        # One sender alone has nothing to ask: neither contended nor answered.
        self.link.send(GRANT, struct.pack("<QQQ?Q", self.serial, self.granted_messages, self.granted_bytes, False, 0))

    def run(self, count):
        done = 0
        while done < count:
            kind, body = self.link.frame()
            if kind == DATA:
                done += self.data(body, count - done)
            elif kind == COPIES:
                self.place(body)
            elif kind == TAKE:
                done += self.take(body, count - done)
            elif kind == RECALL:
                for number in [number for span in body.items(body.span) for number in span]:
                    self.copies.pop(number, None)
                body.end()
            elif kind not in (ECHO, DEMAND, RETRACT, HEARTBEAT):
                raise Violation(PROTOCOL_VIOLATION, f"a frame of kind {kind} from a sender")
        self.link.close(DONE, "all that was asked for is here")

    def data(self, body, wanted):
        """A run of messages."""
        first_delivery, records = self.records(body)
        return self.deliver(first_delivery, records, wanted)

    def place(self, body):
        """Copies of messages that are none yet."""
        first_copy, records = self.records(body)
        if first_copy != self.next_copy or not self.future:
            raise Violation(PROTOCOL_VIOLATION, "copies out of turn, or without room")
        self.copies.update(enumerate(records, first_copy))
        self.next_copy += len(records)
        if len(self.copies) > self.future or sum(cost for _, cost in self.copies.values()) > self.future_bytes():
            raise Violation(CREDIT_EXCEEDED, "more copies than there is room for")

    def take(self, body, wanted):
        """Copies are messages now. This peer forgets none by itself, so all of them are here."""
        numbers, first_delivery, size = body.span(), body.u64(), body.u64()
        body.end()
        records = [self.copies.pop(number, (None, None)) for number in numbers]
        if (None, None) in records or sum(cost for _, cost in records) != size:
            raise Violation(PROTOCOL_VIOLATION, "it takes what was not placed, or cost something else")
        self.taken_copies += len(records)
        return self.deliver(first_delivery, records, wanted)

    def records(self, body):
        """The number that a run begins with, and its records."""
        first, _first_seq, _sent_at = body.u64(), body.u64(), body.u64()
        count, _attempt = body.u32(), body.u32()
        records = [self.record(body) for _ in range(count)]
        body.end()
        return first, records

    def deliver(self, first_delivery, records, wanted):
        """Prints and confirms up to `wanted` of these messages, and gives the rest back."""
        if first_delivery != self.received_messages:
            raise Violation(PROTOCOL_VIOLATION, "a delivery number out of turn")
        count = len(records)
        self.received_messages += count
        self.received_bytes += sum(cost for _, cost in records)
        if self.received_messages > self.granted_messages or self.received_bytes > self.granted_bytes:
            raise Violation(CREDIT_EXCEEDED, "more than was granted")
        kept = min(count, wanted)
        for payload, _ in records[:kept]:
            sys.stdout.buffer.write(payload + b"\n")
        sys.stdout.buffer.flush()
        deliveries = range(first_delivery, first_delivery + count)
        if self.link.peer["reports_taken"]:
            self.link.send(TAKEN, spans([deliveries[:kept]]))
        parts = [(deliveries[:kept], CONFIRMED), (deliveries[kept:], RELEASED)]
        settlements = [struct.pack("<QQI", part.start, len(part), outcome) for part, outcome in parts if part]
        self.link.send(SETTLE, struct.pack("<Q", len(settlements)) + b"".join(settlements))
        if self.granted_messages - self.received_messages <= self.window // 2:
            self.grant()
        return kept

    def record(self, body):
        start = body.at
        word = body.u32()
        if word & 1 << 30:
            raise Violation(PROTOCOL_VIOLATION, "a record's reserved bit is set")
        if word & 1 << 31:
            body.take(body.u16())
        payload = body.take(word & (1 << 30) - 1)
        return payload, body.at - start + OVERHEAD_BYTES


class Pusher:
    """The sender: one receiver, everything in memory."""

    def __init__(self, link, session, payloads):
        self.link, self.session = link, session
        # Each: seq, payload, failed attempts.
        self.waiting = deque((seq, payload, 0) for seq, payload in enumerate(payloads))
        self.next_seq = len(self.waiting)
        self.in_flight = {}
        self.next_delivery = 0
        self.serial = None
        self.limit = self.spent = (0, 0)
        self.contended = False
        self.advertised = 0
        self.asked_after = None
        self.settles = 0
        self.attach()

    def attach(self):
        """A receiver that is new to this session holds nothing of it."""
        more = True
        while more:
            kind, body = self.link.frame()
            if kind == HEARTBEAT:
                continue
            if kind != ATTACH:
                raise Violation(PROTOCOL_VIOLATION, f"a frame of kind {kind} before ATTACH")
            session = body.uuid()
            named = [body.items(body.span) for _ in range(3)]
            more = body.flag()
            body.end()
            if session != self.session or any(named):
                raise Violation(PROTOCOL_VIOLATION, "an ATTACH to what was never sent")

    def run(self):
        self.dispatch()
        while self.waiting or self.in_flight:
            kind, body = self.link.frame()
            if kind == GRANT:
                self.grant(body)
            elif kind == SETTLE:
                self.settle(body)
            elif kind not in (TAKEN, HEARTBEAT):
                raise Violation(PROTOCOL_VIOLATION, f"a frame of kind {kind} from a receiver")
            self.dispatch()
        self.link.close(DONE, "all is confirmed")

    def grant(self, body):
        serial, limit, contended = body.u64(), (body.u64(), body.u64()), body.flag()
        body.u64()  # answered: this sender never asks.
        body.end()
        if self.serial is not None and serial <= self.serial:
            return
        if limit[0] < self.limit[0] or limit[1] < self.limit[1]:
            self.link.send(ECHO, struct.pack("<QQQ", serial, *self.spent))
            # What was granted on a DEMAND may be what was taken back.
            self.advertised = 0
        self.serial, self.limit, self.contended = serial, limit, contended

    def dispatch(self):
        while self.waiting:
            seq, payload, failed = self.waiting[0]
            messages, size = self.spent[0] + 1, self.spent[1] + 4 + len(payload) + OVERHEAD_BYTES
            if messages > self.limit[0] or size > self.limit[1]:
                break
            self.waiting.popleft()
            self.in_flight[self.next_delivery] = (seq, payload, failed)
            head = struct.pack("<QQQII", self.next_delivery, seq, int(time.time() * 1_000), 1, failed)
            self.link.send(DATA, head + struct.pack("<I", len(payload)) + payload)
            self.next_delivery += 1
            self.spent = (messages, size)
            self.advertised = max(0, self.advertised - 1)
        self.demand()

    def demand(self):
        """After dispatching, what still waits waits for credit."""
        waiting = len(self.waiting)
        if not self.contended:
            return
        if waiting == 0:
            news = self.asked_after is not None
        else:
            bytes_are_short = self.spent[0] < self.limit[0] and self.asked_after != self.serial
            news = self.advertised == 0 or bytes_are_short
        if news:
            self.link.send(DEMAND, struct.pack("<Q?", waiting, False))
            self.advertised = waiting
            self.asked_after = self.serial if waiting else None

    def settle(self, body):
        for deliveries, outcome in body.items(lambda: self.settlement(body)):
            for delivery in deliveries:
                message = self.in_flight.get(delivery)
                if message is None or outcome == EXTENDED:
                    continue
                del self.in_flight[delivery]
                seq, payload, failed = message
                if outcome in (REJECTED, RELEASED, RETRY_IN):
                    # A simple sender tries again at once.
                    self.waiting.append((seq, payload, failed + (outcome == REJECTED)))
        body.end()
        self.settles += 1
        self.link.send(HEARTBEAT, struct.pack("<QQQ", self.next_seq, self.next_delivery, self.settles))

    def settlement(self, body):
        deliveries, outcome = body.span(), body.u32()
        if outcome > EXPIRED or deliveries.stop > self.next_delivery:
            raise Violation(PROTOCOL_VIOLATION, "a settlement that means nothing")
        if outcome == REJECTED:
            body.text()
        elif outcome in (RETRY_IN, EXTENDED):
            body.u64()
        return deliveries, outcome


def connection(options):
    if not options.listen:
        return socket.create_connection((options.host, options.port))
    with socket.create_server((options.host, options.port)) as server:
        print("listening", server.getsockname()[1], file=sys.stderr, flush=True)
        return server.accept()[0]


def converse(options, link):
    if options.role == "pull":
        link.shake_hands(PULL, features=FUTURES if options.future else 0)
        puller = Puller(link, options.window, options.future)
        puller.run(options.count)
        print("copies", puller.taken_copies, file=sys.stderr, flush=True)
    else:
        session = uuid.uuid4().bytes
        link.shake_hands(PUSH, session)
        Pusher(link, session, sys.stdin.buffer.read().splitlines()).run()


def main():
    parser = argparse.ArgumentParser(description="A small peer of Drawdown.")
    parser.add_argument("role", choices=["pull", "push"])
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--count", type=int, default=1, help="messages after which pull ends")
    parser.add_argument("--window", type=int, default=16, help="messages that may be on their way to pull")
    parser.add_argument("--future", type=int, default=0, help="copies of messages that wait, kept by pull")
    parser.add_argument("--listen", action="store_true", help="accept one connection instead of making one")
    options = parser.parse_args()
    with connection(options) as link_socket:
        link = Link(link_socket)
        try:
            try:
                converse(options, link)
            except Violation as violation:
                link.close(violation.code, str(violation))
                sys.exit(f"the peer broke a rule: {violation}")
        except LinkEnded as ended:
            sys.exit(f"the link ended: {ended}")


if __name__ == "__main__":
    main()
