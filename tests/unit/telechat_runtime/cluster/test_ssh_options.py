# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.cluster.ssh_options import SshOptions, parse_ssh_args


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", SshOptions()),
        ("-o UserKnownHostsFile=/a", SshOptions(known_hosts_files=("/a",))),
        ("-oUserKnownHostsFile='/a /b'", SshOptions(known_hosts_files=("/a", "/b"))),
        ("-o 'ProxyJump root@bastion:2222'", SshOptions(proxy_jump="root@bastion:2222")),
        ("-J a,b", SshOptions(proxy_jump="a,b")),
        ("-Ja", SshOptions(proxy_jump="a")),
        ("-J none", SshOptions()),
        ("-C -o ControlMaster=auto -o proxyjump=x", SshOptions(proxy_jump="x")),
    ],
)
def test_understood(arguments: str, expected: SshOptions) -> None:
    assert parse_ssh_args(arguments) == (expected, [])


@pytest.mark.parametrize("arguments", ["-o ProxyCommand=nc", "-o HostKeyAlias=x", "-i /key", "-F /config", "words"])
def test_what_would_change_the_route_or_the_identity_is_refused(arguments: str) -> None:
    _, problems = parse_ssh_args(arguments)
    assert problems
    assert "can't honour" in problems[0]
