# SPDX-License-Identifier: Apache-2.0
"""A server on loopback that sends one file, as well or as badly as a test wants."""

import contextlib
import http.server

CONTENT = bytes(range(256)) * 9000  # 2.3 MB: more than two chunks


class Server(http.server.ThreadingHTTPServer):
    """A server on loopback whose behaviour a test sets: how much it sends, whether it knows Range, what it answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.statuses = []
        self.cut_after = []
        self.wrong_range = False
        self.announce = True
        self.redirects = []
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/weights.ckpt"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((asked, self.headers.get("Authorization")))
        if server.statuses and (status := server.statuses.pop(0)) != 200:
            self.send_error(status)
            return
        if server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects.pop(0))
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if asked and server.ranges else 200)
        if asked and server.ranges:
            shown = start + 1 if server.wrong_range else start
            self.send_header("Content-Range", f"bytes {shown}-{len(server.content) - 1}/{len(server.content)}")
        if server.announce:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        body = server.content[start:]
        with contextlib.suppress(ConnectionError):  # the client may refuse what was announced
            self.wfile.write(body[: server.cut_after.pop(0)] if server.cut_after else body)

    def log_message(self, *arguments):
        del arguments
