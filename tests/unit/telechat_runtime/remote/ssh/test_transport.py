# SPDX-License-Identifier: Apache-2.0
"""The SSH transport against a real server in this process."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator, List

import asyncssh
import pytest

from telechat_runtime import wire_log
from telechat_runtime.cluster.ssh_options import SshOptions
from telechat_runtime.cluster.topology import Connection
from telechat_runtime.errors import UnreachableError, UntrustedHostError
from telechat_runtime.remote.ssh import SshConnector, SshTransport
from telechat_runtime.remote.transport import Result
from tests.support.ssh_server import Server


class Site:
    """A server, a user's key, a known_hosts and an ssh_config, and transports that use them."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.key_file = folder / "id_ed25519"
        self.known_hosts = folder / "known_hosts"
        self.config = folder / "config"
        self._opened: List[Any] = []

    def connection(self, **changes: Any) -> Connection:
        values: dict[str, Any] = {
            "kind": "ssh",
            "host": self.server.address,
            "port": self.server.port,
            "user": "root",
            "key_file": str(self.key_file),
            "become": False,
            "options": SshOptions(known_hosts_files=(str(self.known_hosts),)),
        }
        return Connection(**{**values, **changes})

    def transport(self, *, connect_seconds: float = 5, **changes: Any) -> SshTransport:
        connector = SshConnector(str(self.config), connect_seconds=connect_seconds)
        transport = SshTransport("node0", self.connection(**changes), connector)
        self._opened += [transport, connector]
        return transport

    def close(self) -> None:
        for opened in self._opened:
            opened.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # Neither the tester's agent nor the tester's own keys and files have a part in this.
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    key = asyncssh.generate_private_key("ssh-ed25519")
    with Server(tmp_path, key).running() as server:
        found = Site(tmp_path, server)
        key.write_private_key(found.key_file)
        found.known_hosts.write_text(server.known_hosts_line())
        try:
            yield found
        finally:
            found.close()


def python(code: str) -> List[str]:
    return [sys.executable, "-c", code]


def test_run_gives_input_and_takes_both_outputs_and_the_exit_code(site: Site) -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('err', file=sys.stderr); sys.exit(3)"
    assert site.transport().run(python(code), b"abc") == Result(3, "ABC\n", "err\n")


@pytest.mark.parametrize("word", ["a b", "it's", 'a"b', "$HOME", "`id`", "a;b", "\n", "*", "", "--x=é"])
def test_an_argument_arrives_as_it_was_given(site: Site, word: str) -> None:
    result = site.transport().run([*python("import sys; print(sys.argv[1:])"), word])
    assert result.stdout == f"{[word]}\n"


def test_large_input_and_output(site: Site) -> None:
    data = b"x" * 3_000_000
    result = site.transport().run(python("import sys; sys.stdout.write(sys.stdin.read())"), data)
    assert len(result.stdout) == len(data)


def test_one_connection_serves_many_commands(site: Site) -> None:
    transport = site.transport()
    for number in range(3):
        assert transport.run(["echo", str(number)]).stdout == f"{number}\n"
    assert site.server.commands == [f"echo {number}" for number in range(3)]
    assert len(site.server._connections) == 1


def test_a_stream_yields_lines_as_they_come_and_keeps_its_input_open(site: Site) -> None:
    code = "import sys; print(sys.stdin.readline().strip(), flush=True); sys.stdin.read(); print('end'); sys.exit(4)"
    stream = site.transport().stream(python(code), b"one\n")
    lines = stream.lines()
    assert next(lines) == "one"
    stream.end_input()
    assert list(lines) == ["end"]
    assert stream.result().exit_code == 4


def test_a_last_line_without_an_end_is_a_line(site: Site) -> None:
    stream = site.transport().stream(["printf", "a\\nb"])
    assert list(stream.lines()) == ["a", "b"]


def test_close_from_another_thread_ends_the_lines_and_the_commands_input(site: Site, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    code = f"import sys; print('one', flush=True); sys.stdin.read(); open({str(ended)!r}, 'w').close()"
    stream = site.transport().stream(python(code))
    lines = stream.lines()
    assert next(lines) == "one"
    timer = threading.Timer(0.1, stream.close)
    timer.start()
    assert list(lines) == []
    timer.join()
    deadline = time.monotonic() + 10
    while not ended.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended.exists()


def test_much_stderr_does_not_block_a_stream(site: Site) -> None:
    stream = site.transport().stream(python("import sys; sys.stderr.write('x' * 5_000_000); print('done')"))
    assert list(stream.lines()) == ["done"]
    assert stream.result().exit_code == 0


def test_an_unknown_host_key_is_refused_before_anything_is_sent(site: Site) -> None:
    site.known_hosts.write_text("")
    with pytest.raises(UntrustedHostError, match=r"node0: root@.*: unknown host key ssh-ed25519 SHA256:") as caught:
        site.transport().run(["true"])
    assert str(site.known_hosts) in caught.value.next_step
    assert caught.value.exit_code == 4
    assert site.server.commands == []


def test_a_missing_known_hosts_trusts_nobody(site: Site) -> None:
    site.known_hosts.unlink()
    with pytest.raises(UntrustedHostError, match="unknown host key"):
        site.transport().run(["true"])


def test_a_changed_host_key_is_refused_with_both_fingerprints(site: Site) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    site.known_hosts.write_text(site.server.known_hosts_line(other))
    with pytest.raises(UntrustedHostError, match="the host key has changed") as caught:
        site.transport().run(["true"])
    assert site.server.host_key.get_fingerprint() in caught.value.message
    assert other.get_fingerprint() in caught.value.message
    assert "replace its line" in caught.value.next_step
    assert site.server.commands == []


def test_a_key_of_another_kind_counts_as_changed(site: Site) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    site.known_hosts.write_text(site.server.known_hosts_line(other))
    with pytest.raises(
        UntrustedHostError, match=r"has changed: the server offers ssh-ed25519 .*, known_hosts has ecdsa-sha2"
    ):
        site.transport().run(["true"])


def test_a_damaged_known_hosts(site: Site) -> None:
    site.known_hosts.write_text(f"[{site.server.address}]:{site.server.port} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5A\n")
    with pytest.raises(UntrustedHostError, match="a line of known_hosts is damaged"):
        site.transport().run(["true"])


def test_a_key_that_the_server_does_not_know(site: Site) -> None:
    stranger = site.folder / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(stranger)
    with pytest.raises(UnreachableError, match=f"the server refused the login with {stranger}") as caught:
        site.transport(key_file=str(stranger)).run(["true"])
    assert f"ssh -p {site.server.port} root@127.0.0.1" in caught.value.next_step
    assert not isinstance(caught.value, UntrustedHostError)


def test_a_key_with_a_passphrase_needs_the_agent(site: Site) -> None:
    locked = site.folder / "locked"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(locked, passphrase="secret")
    with pytest.raises(UnreachableError, match="the private key is encrypted") as caught:
        site.transport(key_file=str(locked)).run(["true"])
    assert "ssh-add" in caught.value.next_step


def test_a_key_file_that_is_not_there(site: Site) -> None:
    with pytest.raises(UnreachableError, match=r"can't connect: .*No such file or directory: '/no/such/key'"):
        site.transport(key_file="/no/such/key").run(["true"])


def test_nobody_listens(site: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match=r"node0: root@.*: can't connect: .*Unable to connect to port"):
        site.transport(port=port).run(["true"])


def test_a_server_that_says_nothing(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UnreachableError, match="can't connect: it does not answer as an SSH server"):
            site.transport(port=port, connect_seconds=0.3).run(["true"])


def test_a_name_that_does_not_resolve(site: Site) -> None:
    with pytest.raises(UnreachableError, match="can't connect"):
        site.transport(host="no-such-host.invalid").run(["true"])


def test_a_command_that_hangs(site: Site) -> None:
    with pytest.raises(UnreachableError, match=r"node0: no answer from sleep within 0\.3 s"):
        site.transport().run(["sleep", "30"], timeout=0.3)


def test_a_connection_that_is_lost_while_a_command_runs(site: Site) -> None:
    transport = site.transport()
    stream = transport.stream(python("print('one', flush=True); import time; time.sleep(30)"))
    lines = stream.lines()
    assert next(lines) == "one"
    site.server.drop_connections()
    assert list(lines) == []
    assert stream.result().exit_code == -1
    stream.close()
    assert transport.run(["echo", "again"]).stdout == "again\n"


def test_ssh_config_names_host_port_user_and_key(site: Site) -> None:
    site.config.write_text(
        f"Host trainer\n  HostName 127.0.0.1\n  Port {site.server.port}\n  User root\n"
        f"  IdentityFile {site.key_file}\n  UserKnownHostsFile {site.known_hosts}\n"
    )
    transport = site.transport(host="trainer", port=None, user="", key_file="", options=SshOptions())
    assert transport.run(["echo", "there"]).stdout == "there\n"


def test_a_proxy_command_is_refused(site: Site) -> None:
    site.config.write_text("Host *\n  ProxyCommand nc %h %p\n")
    with pytest.raises(UnreachableError, match=r"node0: 127\.0\.0\.1: ssh_config has a ProxyCommand") as caught:
        site.transport().run(["true"])
    assert "ProxyJump" in caught.value.next_step


def test_through_a_jump_host_whose_key_is_checked_too(site: Site, tmp_path: Path) -> None:
    user_key = asyncssh.read_private_key(site.key_file)
    folder = tmp_path / "jump"
    folder.mkdir()
    site.config.write_text(f"Host 127.0.0.1\n  IdentityFile {site.key_file}\n")
    with Server(folder, user_key).running() as jump:
        options = SshOptions(known_hosts_files=(str(site.known_hosts),), proxy_jump=f"root@127.0.0.1:{jump.port}")
        with pytest.raises(UntrustedHostError, match=f"root@.*:{jump.port}: unknown host key"):
            site.transport(options=options).run(["true"])
        site.known_hosts.write_text(site.server.known_hosts_line() + jump.known_hosts_line())
        noted: List[str] = []
        wire_log.listen(lambda _, text: noted.append(text))
        assert site.transport(options=options).run(["echo", "behind"]).stdout == "behind\n"
        wire_log.listen(None)
        ways = [text for text in noted if ": connect to " in text]
        assert f"port {jump.port} as root, jump hosts before it: 0" in ways[0]
        assert f"port {site.server.port} as root, jump hosts before it: 1" in ways[1]
        assert jump.tunnels == [("127.0.0.1", site.server.port)]
        site.close()


def test_ipv6(tmp_path: Path, site: Site) -> None:
    folder = tmp_path / "six"
    folder.mkdir()
    user_key = asyncssh.read_private_key(site.key_file)
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with Server(folder, user_key, address="::1").running() as server:
        site.known_hosts.write_text(server.known_hosts_line())
        transport = site.transport(host="::1", port=server.port)
        assert transport.run(["echo", "six"]).stdout == "six\n"
        site.close()


def test_the_shell_sees_one_quoted_text(site: Site) -> None:
    site.transport().run(["docker", "exec", "-i", "a b", "true"])
    assert shlex.split(site.server.commands[0]) == ["docker", "exec", "-i", "a b", "true"]
