"""A WebSocket client and server of the package websockets: do both see the same through a proxy as without?

usage: websocket_peer.py CASE

Prints `listening on PORT`, reads `through HOST:PORT` from its input, runs the case against its own server directly and
through the proxy, and prints what the two sides saw: `direct: …` and `through: …`. With `through HOST:PORT NAME FILE` the
way to the proxy is TLS, the proxy's certificate is for NAME, and FILE has whom to trust.
"""

import asyncio
import hashlib
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

# Only ever spent by a case that fails.
PATIENCE_S = 10
MIB = 1024 * 1024
EVERY_BYTE = bytes(range(256))


class Server:
    """Does what the path names; what it saw is in `seen`."""

    def __init__(self):
        self.seen = asyncio.Queue()

    async def serve(self, socket):
        seen = self.seen
        await getattr(self, socket.request.path.strip("/"))(socket)
        await socket.wait_closed()
        await seen.put(f"{socket.close_code} {socket.close_reason!r}")

    async def echo(self, socket):
        try:
            async for message in socket:
                await socket.send(message)
        except ConnectionClosed:
            pass

    async def fragments(self, socket):
        """Says how long the fragments were, in as many fragments."""
        lengths = [f"{len(fragment)} " async for fragment in socket.recv_streaming()]
        await socket.send(lengths)

    async def ping(self, socket):
        await (await socket.ping(b"from the server"))
        await socket.send("ponged")

    async def leave(self, socket):
        await socket.close(4002, "geht größer")

    async def vanish(self, socket):
        await socket.recv()
        socket.transport.abort()

    async def saw(self):
        return await asyncio.wait_for(self.seen.get(), PATIENCE_S)


def refuse(socket, request):
    return socket.respond(403, "not you\n") if request.path == "/forbidden" else None


def choose(socket, offered):
    return "chat.v2" if "chat.v2" in offered else None


def shown(message):
    if len(message) <= 40:
        return repr(message)
    data = message.encode() if isinstance(message, str) else message
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:8]}"


def dial(way, path, **options):
    address, *tls = way
    options = {"compression": None, "proxy": None, "open_timeout": PATIENCE_S, **options}
    if not tls:
        return connect(f"ws://{address}/{path}", **options)
    name, trusted = tls
    host, port = address.split(":")
    context = ssl.create_default_context(cafile=trusted)
    return connect(f"wss://{name}/{path}", ssl=context, host=host, port=int(port), **options)


async def texts(way, server):
    async with dial(way, "echo") as socket:
        answers = []
        for text in ("one", "", "größer"):
            await socket.send(text)
            answers.append(shown(await socket.recv()))
    return " ".join(answers)


async def bytes_of_all_kinds(way, server):
    async with dial(way, "echo") as socket:
        await socket.send(EVERY_BYTE)
        return "same" if await socket.recv() == EVERY_BYTE else "different"


async def large(way, server):
    async with dial(way, "echo", max_size=2 * MIB) as socket:
        await socket.send(EVERY_BYTE * 4096)
        return shown(await socket.recv())


async def fragments(way, server):
    async with dial(way, "fragments") as socket:
        await socket.send(["frag", "men", "ted"])
        return " ".join([shown(fragment) async for fragment in socket.recv_streaming()])


async def deflate(way, server):
    async with dial(way, "echo", compression="deflate", max_size=2 * MIB) as socket:
        extensions = [extension.name for extension in socket.protocol.extensions]
        await socket.send("z" * MIB)
        whole = shown(await socket.recv())
        await socket.send(["frag", "men", "ted"])
        return f"{extensions} {whole} {shown(await socket.recv())}"


async def pings_of_the_client(way, server):
    async with dial(way, "echo") as socket:
        await asyncio.wait_for(await socket.ping(b"from the client"), PATIENCE_S)
        return "ponged"


async def pings_of_the_server(way, server):
    async with dial(way, "ping") as socket:
        return await socket.recv()


async def client_closes(way, server):
    async with dial(way, "echo") as socket:
        await socket.close(4001, "done")
    return f"client {socket.close_code} {socket.close_reason!r}; server {await server.saw()}"


async def server_closes(way, server):
    async with dial(way, "leave") as socket:
        await socket.wait_closed()
    return f"client {socket.close_code} {socket.close_reason!r}; server {await server.saw()}"


async def client_vanishes(way, server):
    socket = await dial(way, "echo")
    socket.transport.abort()
    return f"server {await server.saw()}"


async def server_vanishes(way, server):
    async with dial(way, "vanish") as socket:
        await socket.send("go")
        await socket.wait_closed()
    return f"client {socket.close_code} {socket.close_reason!r}"


async def subprotocol(way, server):
    async with dial(way, "echo", subprotocols=["unknown", "chat.v2"]) as socket:
        return socket.subprotocol


async def refused(way, server):
    try:
        async with dial(way, "forbidden"):
            return "not refused"
    except InvalidStatus as error:
        return f"{error.response.status_code} {bytes(error.response.body)!r}"


CASES = (
    texts,
    bytes_of_all_kinds,
    large,
    fragments,
    deflate,
    pings_of_the_client,
    pings_of_the_server,
    client_closes,
    server_closes,
    client_vanishes,
    server_vanishes,
    subprotocol,
    refused,
)


async def main():
    case = {case.__name__: case for case in CASES}[sys.argv[1]]
    server = Server()
    options = {"process_request": refuse, "select_subprotocol": choose, "max_size": 2 * MIB}
    async with serve(server.serve, "127.0.0.1", 0, **options) as listening:
        port = listening.sockets[0].getsockname()[1]
        print(f"listening on {port}", flush=True)
        through = sys.stdin.readline().split()[1:]
        for name, way in (("direct", [f"127.0.0.1:{port}"]), ("through", through)):
            server.seen = asyncio.Queue()
            print(f"{name}: {await asyncio.wait_for(case(way, server), 2 * PATIENCE_S)}", flush=True)


asyncio.run(main())
