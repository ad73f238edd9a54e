"""Makes traffic between two network namespaces of its own and writes what crosses the cable as captures.

    python3 engine-traffic.py HTTP.PCAP BYTES BULK.PCAP BYTES

HTTP: sessions of some requests each, with pages of text, scripts, pictures and compressed bodies. Bulk: one TCP
connection at a time with bytes that are neither text nor zero. Segments are of an ordinary size: offloads are off, as
in a guest. Says for each file how many frames it holds. Ends with status 1 if a frame was missed.
"""
import ctypes
import fcntl
import gzip
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
SIOCETHTOOL = 0x8946
# ETHTOOL_SRXCSUM, STXCSUM, STSO, SGSO, SGRO
OFFLOADS = (0x15, 0x17, 0x1F, 0x24, 0x2C)
PORT = 80
CLIENT, SERVER = "10.99.0.1", "10.99.0.2"
LIBC = ctypes.CDLL(None, use_errno=True)
WORDS = (
    "the of and seismic wave data model station network server request value array result error time series plot "
    "catalogue magnitude depth location event table index page content length search archive download user session "
    "figure paper author institute laboratory analysis method script style division class button image"
).split()
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "curl/8.5.0",
    "python-requests/2.31.0",
)


def shell(*words):
    subprocess.run(words, check=True)


def set_up(name, address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for code in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", code, 0))
            request = struct.pack("16sP", name.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError:
                pass  # not every kernel has every offload
    shell("ip", "address", "add", address + "/24", "dev", name)
    shell("ip", "link", "set", name, "up")


class Capture:
    """Copies every frame of an interface to a file, until it has been told to end and nothing more waits."""

    def __init__(self, interface, path):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 512 << 20)
        self.socket.bind((interface, 0))
        self.socket.settimeout(0.5)
        self.path, self.frames, self.is_ending = path, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with open(self.path, "wb", buffering=1 << 20) as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            frame = bytearray(65536)
            while True:
                try:
                    length = self.socket.recv_into(frame)
                except TimeoutError:
                    if self.is_ending:
                        return
                    continue
                # A hundred thousand frames a second: often enough for whatever counts by time.
                micros = self.frames * 10
                out.write(struct.pack("<IIII", 1_700_000_000 + micros // 1_000_000, micros % 1_000_000, length, length))
                out.write(memoryview(frame)[:length])
                self.frames += 1

    def end(self):
        self.is_ending = True
        self.thread.join()
        _, missed = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.socket.close()
        print(self.path, self.frames, flush=True)
        if missed:
            sys.exit(f"{missed} frames missed")


def text(chance, size):
    parts, length = [], 0
    while length < size:
        line = " ".join(chance.choices(WORDS, k=chance.randint(4, 14)))
        parts.append(f'<p class="{chance.choice(WORDS)}"><a href="/{chance.choice(WORDS)}/{chance.randrange(9999)}">{line}</a></p>\r\n')
        length += len(parts[-1])
    return "".join(parts).encode()[:size]


def bodies(chance):
    """(content type, coding, bytes) of the things that a site has."""
    made = []
    for _ in range(24):
        made.append(("text/html; charset=utf-8", None, text(chance, chance.randint(2_000, 30_000))))
        made.append(("application/javascript", "gzip", gzip.compress(text(chance, chance.randint(5_000, 60_000)))))
        made.append(("image/jpeg", None, b"\xff\xd8\xff\xe0\x00\x10JFIF" + chance.randbytes(chance.randint(5_000, 60_000))))
        made.append(("application/json", None, text(chance, chance.randint(200, 4_000))))
    return made


def answer(connection, site):
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for line in connection.makefile("rb"):
            if line == b"\r\n":
                kind, coding, body = site[wanted % len(site)]
                head = f"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: nginx/1.24.0\r\nContent-Type: {kind}\r\n"
                head += f"Content-Length: {len(body)}\r\nSet-Cookie: session={wanted:08x}; Path=/\r\n"
                head += f"Content-Encoding: {coding}\r\n" if coding else ""
                connection.sendall(head.encode() + b"Cache-Control: max-age=60\r\n\r\n" + body)
            elif line.startswith(b"GET "):
                wanted = int(line.split(b"id=")[1].split(b"&")[0])


def accept(listener, handle):
    while True:
        connection, _ = listener.accept()
        handle(connection)


def request(chance, number):
    path = "/".join(chance.choices(WORDS, k=chance.randint(1, 4)))
    query = f"id={number}&q={'+'.join(chance.choices(WORDS, k=3))}&page={chance.randrange(50)}"
    return (
        f"GET /{path}.php?{query} HTTP/1.1\r\nHost: www.{chance.choice(WORDS)}.example.org\r\n"
        f"User-Agent: {chance.choice(AGENTS)}\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"
        f"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n"
        f"Referer: http://www.{chance.choice(WORDS)}.example.org/{path}\r\n"
        f"Cookie: session={chance.randrange(1 << 32):08x}; theme={chance.choice(WORDS)}\r\nConnection: keep-alive\r\n\r\n"
    ).encode()


def read_message(stream):
    length = 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    stream.read(length)
    return length


def http_client(chance, size):
    taken = 0
    while taken < size:
        with socket.create_connection((SERVER, PORT)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = connection.makefile("rb")
            for _ in range(chance.randint(1, 12)):
                connection.sendall(request(chance, chance.randrange(1 << 20)))
                taken += read_message(stream)


def bulk_client(chance, size):
    block = chance.randbytes(1 << 20)
    for _ in range(4):
        with socket.create_connection((SERVER, PORT + 1)) as connection:
            for _ in range(size // 4 >> 20):
                at = chance.randrange(1 << 20)
                connection.sendall(block[at:] + block[:at])


def drain(connection):
    with connection:
        while connection.recv(1 << 20):
            pass


def unshare_network():
    if LIBC.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


def serve(started, go, serving, chance):
    unshare_network()
    os.write(started, b".")
    os.read(go, 1)
    set_up("far", SERVER)
    site = bodies(chance)
    pages, sink = [socket.create_server((SERVER, PORT + n)) for n in (0, 1)]
    threading.Thread(target=accept, args=(sink, drain), daemon=True).start()
    os.write(serving, b".")
    accept(pages, lambda connection: answer(connection, site))


def main(http_path, http_bytes, bulk_path, bulk_bytes):
    unshare_network()
    chance = random.Random(1)
    (started, start), (go, may_go), (serving, serve_now) = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        serve(start, go, serve_now, chance)
    try:
        os.read(started, 1)
        shell("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(child))
        set_up("near", CLIENT)
        os.write(may_go, b".")
        os.read(serving, 1)
        for path, client, size in ((http_path, http_client, http_bytes), (bulk_path, bulk_client, bulk_bytes)):
            capture = Capture("near", path)
            client(chance, int(size))
            capture.end()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
