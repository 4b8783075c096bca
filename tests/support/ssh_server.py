# SPDX-License-Identifier: Apache-2.0
"""A real SSH server in this process, on a loopback port: a command is run by a shell, as sshd does it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any, Iterator, List, Optional

import asyncssh


class Server:
    """One server with its own host key; `commands` are the texts that clients asked it to run."""

    def __init__(self, folder: Path, user_key: asyncssh.SSHKey, *, address: str = "127.0.0.1") -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.address = address
        self.port = 0
        self.path = ""  # goes before PATH
        self.prefix: List[str] = []  # goes before the shell
        self.commands: List[str] = []
        self.tunnels: List[tuple[str, int]] = []
        self._authorized = folder / "authorized_keys"
        self._authorized.write_bytes(user_key.export_public_key())
        self._ready = threading.Event()
        self._connections: List[asyncssh.SSHServerConnection] = []
        self._children: List[subprocess.Popen[bytes]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        thread.start()
        self._ready.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)

    def known_hosts_line(self, key: Optional[asyncssh.SSHKey] = None) -> str:
        public = (key or self.host_key).export_public_key().decode().strip()
        return f"[{self.address}]:{self.port} {public}\n"

    def drop_connections(self) -> None:
        def drop() -> None:
            for connection in self._connections:
                connection.abort()

        self._loop.call_soon_threadsafe(drop)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        owner = self

        class Policy(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                owner._connections.append(conn)

            def connection_requested(self, dest_host: str, dest_port: int, *_: Any) -> bool:
                owner.tunnels.append((dest_host, dest_port))
                return True

        listener = await asyncssh.create_server(
            Policy,
            self.address,
            0,
            server_host_keys=[self.host_key],
            authorized_client_keys=str(self._authorized),
            process_factory=self._serve,
            encoding=None,
        )
        self.port = listener.get_port()
        return listener

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listener = await self._listen()
        self._ready.set()
        await self._stop.wait()
        listener.close()
        for child in self._children:
            _kill(child)
        for connection in self._connections:
            connection.abort()
            await connection.wait_closed()
        await listener.wait_closed()

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        child = subprocess.Popen(  # noqa: ASYNC220 - asyncssh joins its pipes to the channel
            [*self.prefix, "/bin/sh", "-c", process.command or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"} if self.path else None,
        )
        self._children.append(child)
        try:
            feed = asyncio.create_task(_feed(process.stdin, child.stdin))
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            process.exit(await asyncio.to_thread(child.wait))
            feed.cancel()
        except OSError:
            _kill(child)
        finally:
            await process.wait_closed()


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


async def _feed(source: asyncssh.SSHReader[bytes], target: Any) -> None:
    with contextlib.suppress(OSError), target:
        while data := await source.read(65536):
            while data:
                written = await asyncio.to_thread(target.write, data)
                data = data[written:]


async def _pump(source: Any, target: asyncssh.SSHWriter[bytes]) -> None:
    with source:
        while data := await asyncio.to_thread(source.read, 65536):
            target.write(data)
            await target.drain()
