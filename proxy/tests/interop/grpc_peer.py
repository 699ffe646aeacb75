"""A gRPC client and server of grpcio's: does the client see the same through a proxy as without?

usage: grpc_peer.py CASE

Prints `listening on PORT`, reads `through HOST:PORT` from its input, runs the case against its own server directly and
through the proxy, and prints what the two sides saw: `direct: …` and `through: …`. With `through HOST:PORT NAME FILE` the
way to the proxy is TLS, the proxy's certificate is for NAME, and FILE has whom to trust. Messages are plain bytes, so that
no compiler of message definitions is needed.
"""

import hashlib
import queue
import sys
import threading
from concurrent import futures

import grpc

SERVICE = "interop.Test"
# Only ever spent by a case that fails.
PATIENCE_S = 10
# A deadline that a case lets pass.
DEADLINE_S = 0.5
# gRPC's client rounds up what it sends of a deadline: a server that is reached soon sees a little more.
ROUNDED_UP_S = 0.01
MIB = 1024 * 1024
# What stands in metadata: text, and any bytes under a name that ends in `-bin`.
METADATA = (("x-text", "a b"), ("x-bytes-bin", bytes([0, 1, 254, 255])), ("x-twice", "1"), ("x-twice", "2"))


class Server:
    """What it saw of the case that runs is in `seen`."""

    def __init__(self):
        self.seen = queue.Queue()
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Break": grpc.unary_stream_rpc_method_handler(self.break_off),
            "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
        }
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def unary(self, request, context):
        self.seen.put(shown_metadata(context.invocation_metadata()))
        context.send_initial_metadata(METADATA)
        context.set_trailing_metadata(METADATA)
        return b"re: " + request

    def wait(self, request, context):
        left = context.time_remaining() or PATIENCE_S
        self.seen.put("deadline" if left <= DEADLINE_S + ROUNDED_UP_S else "no deadline")
        over = threading.Event()
        if context.add_callback(over.set):
            over.wait(PATIENCE_S)
        self.seen.put("over" if not context.is_active() else "still active")
        return b""

    def refuse(self, request, context):
        context.set_trailing_metadata(METADATA)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "100 % größer\nals erlaubt")

    def collect(self, requests, context):
        return b",".join(requests)

    def count(self, request, context):
        for number in range(int(request)):
            yield str(number).encode()

    def break_off(self, request, context):
        yield b"first"
        context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    def echo(self, requests, context):
        seen = self.seen
        context.add_callback(lambda: seen.put("over"))
        yield from requests

    def saw(self):
        try:
            return self.seen.get(timeout=PATIENCE_S)
        except queue.Empty:
            return "nothing"


def shown_metadata(metadata):
    """Ours only: clients and proxies add their own."""
    ours = [(key, value) for key, value in metadata or () if key.startswith("x-") and not key.startswith("x-forwarded")]
    return " ".join(f"{key}={value.hex() if isinstance(value, bytes) else value}" for key, value in sorted(ours))


def shown(body):
    return f"{len(body)} bytes {hashlib.sha256(body).hexdigest()[:8]}" if len(body) > 40 else body.decode()


def call(channel, kind, method):
    return getattr(channel, kind)(f"/{SERVICE}/{method}")


def unary(channel, server):
    reply, rpc = call(channel, "unary_unary", "Unary").with_call(b"hello", metadata=METADATA, timeout=PATIENCE_S)
    sides = f"server saw {server.saw()}; initial {shown_metadata(rpc.initial_metadata())}"
    return f"{rpc.code().name} {shown(reply)}; {sides}; trailing {shown_metadata(rpc.trailing_metadata())}"


def client_streaming(channel, server):
    collect = call(channel, "stream_unary", "Collect")
    return shown(collect(iter([b"one", b"", b"three"]), timeout=PATIENCE_S))


def server_streaming(channel, server):
    return " ".join(map(shown, call(channel, "unary_stream", "Count")(b"5", timeout=PATIENCE_S)))


def bidi_streaming(channel, server):
    """Each message is sent only when the answer to the one before is there."""
    turns, replies = queue.Queue(), []
    turns.put(b"0")
    for reply in call(channel, "stream_stream", "Echo")(iter(turns.get, None), timeout=PATIENCE_S):
        replies.append(shown(reply))
        turns.put(str(len(replies)).encode() if len(replies) < 5 else None)
    return " ".join(replies)


def cancel(channel, server):
    turns = queue.Queue()
    turns.put(b"first")
    rpc = call(channel, "stream_stream", "Echo")(iter(turns.get, None), timeout=PATIENCE_S)
    first = shown(next(rpc))
    rpc.cancel()
    outcome = f"{first}, then {rpc.code().name}; server saw {server.saw()}"
    turns.put(None)
    return outcome


def deadline(channel, server):
    code = failure(lambda: call(channel, "unary_unary", "Wait")(b"", timeout=DEADLINE_S)).code().name
    return f"{code}; server saw {server.saw()}, then {server.saw()}"


def large(channel, server):
    reply = call(channel, "unary_unary", "Unary")(b"x" * MIB, timeout=PATIENCE_S)
    many = call(channel, "stream_stream", "Echo")(iter([b"y" * MIB] * 4), timeout=PATIENCE_S)
    return f"{shown(reply)}, {' '.join(map(shown, many))}"


def trailers_only(channel, server):
    error = failure(lambda: call(channel, "unary_unary", "Refuse")(b"", timeout=PATIENCE_S))
    return f"{error.code().name} {error.details()!r}; trailing {shown_metadata(error.trailing_metadata())}"


def unknown_method(channel, server):
    return failure(lambda: call(channel, "unary_unary", "Nothing")(b"", timeout=PATIENCE_S)).code().name


def error_in_a_stream(channel, server):
    rpc = call(channel, "unary_stream", "Break")(b"", timeout=PATIENCE_S)
    first = shown(next(rpc))
    error = failure(lambda: next(rpc))
    return f"{first}, then {error.code().name} {error.details()}"


def compressed(channel, server):
    echo = call(channel, "unary_unary", "Unary")
    return shown(echo(b"z" * MIB, compression=grpc.Compression.Gzip, timeout=PATIENCE_S))


def many_at_once(channel, server):
    rpcs = [call(channel, "unary_unary", "Unary").future(str(n).encode(), timeout=PATIENCE_S) for n in range(200)]
    return f"{sum(rpc.result() == b're: %d' % n for n, rpc in enumerate(rpcs))} of {len(rpcs)}"


def failure(act):
    try:
        return RuntimeError(f"no failure but {act()!r}")
    except grpc.RpcError as error:
        return error


CASES = (
    unary,
    client_streaming,
    server_streaming,
    bidi_streaming,
    cancel,
    deadline,
    large,
    trailers_only,
    unknown_method,
    error_in_a_stream,
    compressed,
    many_at_once,
)


def dial(target, name=None, trusted=None):
    options = [("grpc.enable_http_proxy", 0)]
    if name is None:
        return grpc.insecure_channel(target, options)
    with open(trusted, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(target, credentials, [*options, ("grpc.ssl_target_name_override", name)])


def main():
    case = {case.__name__: case for case in CASES}[sys.argv[1]]
    server = Server()
    print(f"listening on {server.port}", flush=True)
    through = sys.stdin.readline().split()[1:]
    for name, way in (("direct", [f"127.0.0.1:{server.port}"]), ("through", through)):
        server.seen = queue.Queue()
        with dial(*way) as channel:
            print(f"{name}: {case(channel, server)}", flush=True)
    server.server.stop(None)


main()
