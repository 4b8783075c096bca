# SPDX-License-Identifier: Apache-2.0
"""Opens connections, through jump hosts where there are any, to servers whose keys are known."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Dict, Optional, Tuple

import paramiko

from telechat_runtime import wire_log
from telechat_runtime.cluster.topology import Connection
from telechat_runtime.remote.ssh.endpoint import Endpoint, EndpointResolver
from telechat_runtime.remote.ssh.trust import RejectUnknown, raise_readable

_CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 15


class SshConnector:
    """Opens connections; jump hosts are connected once and shared by all nodes behind them."""

    def __init__(self, config_file: str = "~/.ssh/config", *, connect_seconds: float = _CONNECT_SECONDS) -> None:
        self._resolver = EndpointResolver(config_file)
        self._connect_seconds = connect_seconds
        self._jumps: Dict[Tuple[Endpoint, ...], paramiko.SSHClient] = {}
        self._lock = threading.Lock()

    def connect(self, connection: Connection) -> paramiko.SSHClient:
        """Open a connection, through its jump hosts if it has any."""
        target = self._resolver.endpoint(connection)
        via: Optional[paramiko.SSHClient] = None
        hops: Tuple[Endpoint, ...] = ()
        for text in target.proxy_jump:
            hops += (self._resolver.hop(text, connection),)
            with self._lock:
                if hops not in self._jumps:
                    self._jumps[hops] = self._open(hops[-1], via, hops=len(hops) - 1)
                via = self._jumps[hops]
        return self._open(target, via, hops=len(hops))

    def close(self) -> None:
        """Close the jump hosts' connections."""
        for client in self._jumps.values():
            client.close()
        self._jumps.clear()

    def _open(self, endpoint: Endpoint, via: Optional[paramiko.SSHClient], *, hops: int) -> paramiko.SSHClient:
        _note_way(endpoint, hops)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(RejectUnknown(endpoint))
        try:
            for path in (path for path in endpoint.known_hosts_files if Path(path).exists()):
                client.load_host_keys(path)
            client.connect(
                endpoint.host,
                port=endpoint.port,
                username=endpoint.user,
                key_filename=list(endpoint.key_files),  # type: ignore[arg-type]  # the stub knows one path only
                allow_agent=endpoint.agent,
                look_for_keys=not endpoint.key_files,
                sock=_tunnel(via, endpoint, self._connect_seconds) if via else None,
                timeout=self._connect_seconds,
                banner_timeout=self._connect_seconds,
                auth_timeout=self._connect_seconds,
            )
        except BaseException as error:
            client.close()
            _note(endpoint, f"failed: {type(error).__name__}: {error}")
            if isinstance(error, (paramiko.SSHException, OSError, paramiko.hostkeys.InvalidHostKey)):
                raise_readable(endpoint, error)
            raise
        transport = client.get_transport()
        if transport is not None:
            transport.set_keepalive(_KEEPALIVE_SECONDS)
            _note(endpoint, f"connected; it calls itself {transport.remote_version}")
        return client


def _note(endpoint: Endpoint, text: str) -> None:
    wire_log.note("ssh", "%s: %s", endpoint, text)


def _note_way(endpoint: Endpoint, hops: int) -> None:
    """Note everything that decides whether the server is reached and trusted."""
    if not wire_log.is_on():
        return
    _note(endpoint, f"connect to {endpoint.host} port {endpoint.port} as {endpoint.user}, jump hosts before it: {hops}")
    files = [path if Path(path).exists() else f"{path} (missing)" for path in endpoint.known_hosts_files]
    _note(endpoint, f"known_hosts: {', '.join(files)}")
    keys = ", ".join(endpoint.key_files) or "those of ~/.ssh"
    _note(endpoint, f"keys: {keys}{' and the agent' if endpoint.agent else ''}")


def _tunnel(via: paramiko.SSHClient, endpoint: Endpoint, seconds: float) -> paramiko.Channel:
    transport = via.get_transport()
    if transport is None:
        raise paramiko.SSHException("the jump host's connection is closed")
    return transport.open_channel("direct-tcpip", (endpoint.host, endpoint.port), ("127.0.0.1", 0), timeout=seconds)
