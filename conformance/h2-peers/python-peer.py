"""python3-h2 as a client or a server of the suite h2-peers: does what lines of JSON on the standard input say, and tells what it saw in lines of
JSON on the standard output. Bytes are base64; field lines are pairs of latin-1 strings.

client PORT   {"id", "lines", "pieces", "trailers", "ends"}: one exchange at a time
              -> {"id", "interim", "lines", "body", "trailers"} or {"id", "error"}
server        -> {"port"}, then for each request {"id", "lines", "body", "trailers"}
              {"id", "interim", "lines", "pieces", "trailers", "ends"}: the answer
"""
import base64
import json
import selectors
import socket
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

TIMEOUT_SECONDS = 10


def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def shown(headers):
    return [[as_text(name), as_text(value)] for name, value in headers]


def as_text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


def encoded(lines):
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]


class Outgoing:
    """What is left to send on one stream: sent as far as the windows of the peer allow."""

    def __init__(self, connection, stream, job):
        self.connection = connection
        self.stream = stream
        self.pieces = [base64.b64decode(piece) for piece in job["pieces"]]
        self.trailers = job["trailers"]
        self.is_done = job["ends"]

    def send(self):
        while not self.is_done:
            if not self.pieces:
                if self.trailers:
                    self.connection.send_headers(self.stream, encoded(self.trailers), end_stream=True)
                else:
                    self.connection.end_stream(self.stream)
                self.is_done = True
                return
            room = min(self.connection.local_flow_control_window(self.stream), self.connection.max_outbound_frame_size)
            if room <= 0:
                return
            piece = self.pieces[0]
            self.connection.send_data(self.stream, piece[:room])
            if len(piece) > room:
                self.pieces[0] = piece[room:]
            else:
                self.pieces.pop(0)


def take(connection, event):
    """Gives windows back at once."""
    if event.flow_controlled_length:
        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    return event.data


def run_client(port):
    peer = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
    peer.settimeout(TIMEOUT_SECONDS)
    connection = H2Connection(H2Configuration(client_side=True, header_encoding=False))
    connection.initiate_connection()
    for line in sys.stdin:
        job = json.loads(line)
        try:
            tell(id=job["id"], **exchange(peer, connection, job))
        except Exception as error:  # whatever went wrong belongs to this exchange
            tell(id=job["id"], error=f"{type(error).__name__}: {error}")
            return


def exchange(peer, connection, job):
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, encoded(job["lines"]), end_stream=job["ends"])
    outgoing = Outgoing(connection, stream, job)
    seen = {"interim": [], "lines": [], "trailers": []}
    body = []
    is_over = False
    while not (is_over and outgoing.is_done):
        outgoing.send()
        peer.sendall(connection.data_to_send())
        if is_over:
            break
        data = peer.recv(65536)
        if not data:
            raise ConnectionError("the connection was closed")
        for event in connection.receive_data(data):
            if isinstance(event, ConnectionTerminated):
                raise ConnectionError(f"GOAWAY with {event.error_code}, {event.additional_data}")
            if getattr(event, "stream_id", None) != stream:
                continue
            if isinstance(event, InformationalResponseReceived):
                seen["interim"].append(shown(event.headers))
            elif isinstance(event, ResponseReceived):
                seen["lines"] = shown(event.headers)
            elif isinstance(event, DataReceived):
                body.append(take(connection, event))
            elif isinstance(event, TrailersReceived):
                seen["trailers"] = shown(event.headers)
            elif isinstance(event, StreamReset):
                raise ConnectionError(f"RST_STREAM with {event.error_code}")
            elif isinstance(event, StreamEnded):
                is_over = True
    peer.sendall(connection.data_to_send())
    seen["body"] = base64.b64encode(b"".join(body)).decode()
    return seen


class Served:
    """One connection of the server."""

    def __init__(self, peer, number):
        self.peer = peer
        self.number = number
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding=False))
        self.connection.initiate_connection()
        self.requests = {}
        self.outgoing = {}
        self.flush()

    def flush(self):
        for stream, outgoing in list(self.outgoing.items()):
            outgoing.send()
            if outgoing.is_done:
                del self.outgoing[stream]
        self.peer.sendall(self.connection.data_to_send())

    def receive(self):
        data = self.peer.recv(65536)
        if not data:
            return False
        for event in self.connection.receive_data(data):
            stream = getattr(event, "stream_id", None)
            if isinstance(event, RequestReceived):
                self.requests[stream] = {"lines": shown(event.headers), "trailers": [], "body": []}
            elif isinstance(event, DataReceived):
                self.requests[stream]["body"].append(take(self.connection, event))
            elif isinstance(event, TrailersReceived):
                self.requests[stream]["trailers"] = shown(event.headers)
            elif isinstance(event, StreamEnded):
                request = self.requests.pop(stream)
                request["body"] = base64.b64encode(b"".join(request["body"])).decode()
                tell(id=f"{self.number}/{stream}", **request)
            elif isinstance(event, StreamReset):
                self.requests.pop(stream, None)
                self.outgoing.pop(stream, None)
            elif isinstance(event, ConnectionTerminated):
                return False
        self.flush()
        return True

    def answer(self, stream, job):
        for lines in job["interim"]:
            self.connection.send_headers(stream, encoded(lines))
        self.connection.send_headers(stream, encoded(job["lines"]), end_stream=job["ends"])
        self.outgoing[stream] = Outgoing(self.connection, stream, job)
        self.flush()


def run_server():
    listener = socket.create_server(("127.0.0.1", 0))
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    served = {}
    said = b""
    tell(port=listener.getsockname()[1])
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                peer, _ = listener.accept()
                peer.settimeout(TIMEOUT_SECONDS)
                served[len(served)] = Served(peer, len(served))
                selector.register(peer, selectors.EVENT_READ, served[len(served) - 1])
            elif key.data is None:
                data = sys.stdin.buffer.raw.read(65536)
                if not data:
                    return
                *lines, said = (said + data).split(b"\n")
                for line in lines:
                    job = json.loads(line)
                    number, stream = job["id"].split("/")
                    served[int(number)].answer(int(stream), job)
            else:
                try:
                    goes_on = key.data.receive()
                except Exception as error:  # of one connection; the others go on
                    tell(error=f"{type(error).__name__}: {error}")
                    goes_on = False
                if not goes_on:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


if __name__ == "__main__":
    if sys.argv[1] == "client":
        run_client(int(sys.argv[2]))
    else:
        run_server()
