# SPDX-License-Identifier: Apache-2.0
"""Decides where a connection leads: the inventory first, then ssh_config(5), then ssh's own defaults."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence, Tuple

import paramiko

from telechat_runtime.cluster.topology import Connection
from telechat_runtime.errors import UnreachableError

_SSH_PORT = 22
_GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")


@dataclass(frozen=True)
class Endpoint:
    """One SSH server, with everything that decides how to reach and to trust it."""

    host: str
    port: int
    user: str
    key_files: Tuple[str, ...]
    agent: bool
    known_hosts_files: Tuple[str, ...]
    proxy_jump: Tuple[str, ...]

    @property
    def known_hosts_name(self) -> str:
        """The name under which known_hosts lists this server."""
        return self.host if self.port == _SSH_PORT else f"[{self.host}]:{self.port}"

    def __str__(self) -> str:
        return f"{self.user}@{self.known_hosts_name}"


class EndpointResolver:
    """Reads ssh_config once and resolves connections with it."""

    def __init__(self, config_file: str = "~/.ssh/config") -> None:
        path = Path(config_file).expanduser()
        self._config = paramiko.SSHConfig.from_path(str(path)) if path.exists() else paramiko.SSHConfig()

    def endpoint(self, connection: Connection) -> Endpoint:
        """Return where a connection of the inventory leads."""
        options = connection.options
        found = self._config.lookup(connection.host)
        jump = options.proxy_jump or found.get("proxyjump", "")
        if "proxycommand" in found and not jump:
            raise UnreachableError(
                f"{connection.host}: ssh_config has a ProxyCommand for it, which telechat-run does not run",
                next_step="use ProxyJump instead",
            )
        return self._resolve(
            connection.host,
            port=connection.port,
            user=connection.user,
            key_file=connection.key_file,
            known_hosts=options.known_hosts_files,
            proxy_jump="" if jump.lower() == "none" else jump,
        )

    def hop(self, text: str, connection: Connection) -> Endpoint:
        """Return the endpoint of one ProxyJump hop, `[user@]host[:port]`, on the way to `connection`."""
        user, _, place = text.rpartition("@")
        host, port = _split_port(place)
        return self._resolve(host, port=port, user=user, known_hosts=connection.options.known_hosts_files)

    def _resolve(
        self,
        host: str,
        *,
        port: Optional[int],
        user: str,
        known_hosts: Sequence[str],
        key_file: str = "",
        proxy_jump: str = "",
    ) -> Endpoint:
        found = self._config.lookup(host)
        configured = [_expand(path) for path in found.get("identityfile", [])]
        trusted = known_hosts or found.get("userknownhostsfile", "").split() or _USER_KNOWN_HOSTS
        return Endpoint(
            host=found.get("hostname", host),
            port=port or int(found.get("port", _SSH_PORT)),
            user=user or found.get("user", "") or getpass.getuser(),
            key_files=(_expand(key_file),) if key_file else tuple(path for path in configured if Path(path).exists()),
            agent=found.get("identitiesonly", "no") != "yes",
            known_hosts_files=tuple(_expand(path) for path in (*trusted, *_GLOBAL_KNOWN_HOSTS)),
            proxy_jump=tuple(hop.strip() for hop in proxy_jump.split(",") if hop.strip()),
        )


def _expand(path: str) -> str:
    return str(Path(path).expanduser())


def _split_port(place: str) -> Tuple[str, Optional[int]]:
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        return host, int(port[1:]) if port[1:].isdigit() else None
    host, colon, port = place.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() and ":" not in host else (place, None)
