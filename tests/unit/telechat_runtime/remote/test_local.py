# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
import threading

import pytest

from telechat_runtime.errors import UnreachableError
from telechat_runtime.remote.local import LocalTransport
from telechat_runtime.remote.transport import Result

HERE = LocalTransport("here")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_run_gives_input_and_takes_both_outputs_and_the_exit_code() -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('err', file=sys.stderr); sys.exit(3)"
    assert HERE.run(python(code), b"abc") == Result(3, "ABC\n", "err\n")


def test_a_command_has_a_session_of_its_own() -> None:
    result = HERE.run(python("import os; print(os.getsid(0) == os.getpid())"))
    assert result.stdout == "True\n"


def test_a_missing_command_is_a_result_as_it_is_over_ssh() -> None:
    assert HERE.run(["/no/such/docker"]) == Result(127, "", "/no/such/docker: No such file or directory")
    with pytest.raises(UnreachableError, match="here: /no/such/docker: No such file or directory"):
        HERE.stream(["/no/such/docker"])


def test_a_command_that_hangs() -> None:
    with pytest.raises(UnreachableError, match=r"here: no answer from .* within 0\.2 s"):
        HERE.run(python("import time; time.sleep(30)"), timeout=0.2)


def test_a_stream_yields_lines_and_keeps_its_input_open() -> None:
    code = "import sys; print(sys.stdin.readline().strip()); print('two', flush=True); sys.stdin.read(); sys.exit(4)"
    stream = HERE.stream(python(code), b"one\n")
    lines = stream.lines()
    assert [next(lines), next(lines)] == ["one", "two"]
    stream.close()
    assert list(lines) == []
    assert stream.result().exit_code in (4, -15)


def test_close_from_another_thread_ends_the_lines() -> None:
    stream = HERE.stream(python("import time; print('one', flush=True); time.sleep(30)"))
    lines = stream.lines()
    assert next(lines) == "one"
    threading.Timer(0.1, stream.close).start()
    assert list(lines) == []
    assert stream.result().exit_code == -15


def test_much_stderr_does_not_block_a_stream() -> None:
    stream = HERE.stream(python("import sys; sys.stderr.write('x' * 1_000_000); print('done')"))
    assert list(stream.lines()) == ["done"]
    assert len(stream.result().stderr) == 1_000_000


def test_output_that_is_no_text() -> None:
    assert HERE.run(python("import os; os.write(1, bytes([255]))")).stdout == "\N{REPLACEMENT CHARACTER}"
