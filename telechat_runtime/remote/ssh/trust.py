# SPDX-License-Identifier: Apache-2.0
"""Refuses servers whose key is not the one in known_hosts, and says in words what went wrong with a connection."""

from __future__ import annotations

import base64
import hashlib
from typing import NoReturn

import paramiko

from telechat_runtime.errors import UnreachableError, UntrustedHostError
from telechat_runtime.remote.ssh.endpoint import Endpoint

_CHANGED_STEP = (
    "find out why: a reinstalled server, or somebody in between; if it is the server, replace its line in known_hosts"
)


class RejectUnknown(paramiko.MissingHostKeyPolicy):
    """Refuses a server that known_hosts does not list, and says how it can be listed."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> NoReturn:
        """Raise UntrustedHostError."""
        raise UntrustedHostError(
            f"{self._endpoint}: unknown host key {key.get_name()} {_fingerprint(key)}",
            next_step="compare the fingerprint with the server's own, then add its key to "
            f"{self._endpoint.known_hosts_files[0]}",
        )


def raise_readable(endpoint: Endpoint, error: BaseException) -> NoReturn:
    """Raise what paramiko met as an UnreachableError or UntrustedHostError that says what to do."""
    if isinstance(error, paramiko.BadHostKeyException):
        raise UntrustedHostError(
            f"{endpoint}: the host key has changed: the server offers {error.key.get_name()} "
            f"{_fingerprint(error.key)}, known_hosts has {error.expected_key.get_name()} "
            f"{_fingerprint(error.expected_key)}",
            next_step=_CHANGED_STEP,
        ) from error
    if isinstance(error, paramiko.hostkeys.InvalidHostKey):
        raise UntrustedHostError(f"{endpoint}: a line of known_hosts is damaged: {error.line}") from error
    if isinstance(error, paramiko.PasswordRequiredException):
        raise UnreachableError(
            f"{endpoint}: the private key is encrypted", next_step="add it to ssh-agent (ssh-add)"
        ) from error
    if isinstance(error, paramiko.AuthenticationException):
        tried = f" with {', '.join(endpoint.key_files)}" if endpoint.key_files else ""
        raise UnreachableError(
            f"{endpoint}: the server refused the login{tried}",
            next_step=f"see whether `ssh -p {endpoint.port} {endpoint.user}@{endpoint.host}` works without a password",
        ) from error
    reason = str(error) or "no answer in time"
    # paramiko's words for a server that accepts a connection and then says nothing, or nothing of SSH.
    if "banner" in reason or reason == "No existing session":
        reason = "it does not answer as an SSH server"
    raise UnreachableError(
        f"{endpoint}: can't connect: {reason}",
        next_step="check ansible_host and ansible_port, and that sshd runs there",
    ) from error


def _fingerprint(key: paramiko.PKey) -> str:
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
