# SPDX-License-Identifier: Apache-2.0
"""Run the demo: ``python -m demo [--keep]``; ``make demo`` does the set-up first.

As root it uses two hosts of the lab; otherwise this machine alone, and says what that leaves out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
LOGS = ROOT / "build" / "logs"
CONFIG = "lab/workload/finetune_tiny.yaml"
TAIL_LINES = 40
# A lab of its own: one that is up already is somebody's.
LAB = "demo"


class StageFailedError(Exception):
    """A stage of the demo ended with another exit code than 0."""


def run(argv: Sequence[str | Path], *, log: Path | None = None) -> None:
    """Run a command in the checkout, its output into ``log`` or straight to the terminal.

    Raises:
        StageFailedError: The command failed; the end of its log has been printed.

    """
    words = [str(word) for word in argv]
    if log is None:
        returncode = subprocess.run(words, cwd=ROOT, check=False).returncode
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            returncode = subprocess.run(words, cwd=ROOT, check=False, stdout=out, stderr=subprocess.STDOUT).returncode
        if returncode:
            print("\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:]), file=sys.stderr)
    if returncode:
        raise StageFailedError(f"exit code {returncode}: {' '.join(words)}")


class Stages:
    """Names and durations, in seconds, of the stages that ended well."""

    def __init__(self) -> None:
        self.done: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and keep how long it took."""
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        yield
        self.done.append((name, time.monotonic() - started))

    def report(self) -> str:
        """Return one line for each stage and one for their sum."""
        lines = [f"  {seconds:6.1f} s  {name}" for name, seconds in self.done]
        return "\n".join([*lines, f"  {sum(seconds for _, seconds in self.done):6.1f} s  in all"])


def recap(log: Path) -> str:
    """Return Ansible's own recap from the log of a play."""
    text = log.read_text(errors="replace")
    return text[text.rindex("PLAY RECAP") :].strip()


def on_the_lab(stages: Stages, *, keep: bool) -> None:
    """Two bare servers become a cluster and train."""
    lab: list[str | Path] = [BIN / "python", "-m", "lab", "--name", LAB]
    inside: list[str | Path] = [*lab, "exec", "--"]
    state = Path(os.environ.get("LAB_STATE", "/var/lib/telechat-lab")) / LAB
    inventory = state / "inventory"
    play_log = LOGS / "demo-site.log"
    try:
        with stages.stage("two bare servers (python -m lab up)"):
            run([*lab, "up", "--hosts", "2"])
        with stages.stage("driver, firmware, Docker, image, weights, container, runtime (ansible-playbook site.yml)"):
            run([*inside, BIN / "ansible-playbook", "-i", inventory, "site.yml"], log=play_log)
            print(recap(play_log))
        with stages.stage("finetune on both (telechat-run finetune)"):
            finetune: list[str | Path] = [BIN / "telechat-run", "finetune", "-i", inventory, "--npus-per-node", "1"]
            run([*inside, *finetune, "--config", CONFIG, "--dataset", "/mnt/model/demo-dataset"])
    finally:
        if not keep:
            with stages.stage("take the servers down (python -m lab down)"):
                run([*lab, "down"])
    here = BIN.relative_to(ROOT)
    prefix = f"{here}/python -m lab --name {LAB} exec -- {here}"
    print("\nWhat to try next" + ("" if keep else " (after `make demo KEEP=1`, which leaves the servers up)") + ":")
    print(f"  {prefix}/telechat-run nodes -i {inventory}")
    print(f"  {prefix}/ansible-playbook -i {inventory} site.yml      # changes nothing")
    print(f"  {here}/python -m lab fault --list          # break something and look at the message")
    if keep:
        print(f"  {here}/python -m lab --name {LAB} down")


def on_this_machine(stages: Stages) -> None:
    """Train on this machine alone, without root."""
    print("Not root: this machine alone. Left out: servers, driver and firmware, Docker, SSH, more than one node.")
    dataset = ROOT / "build" / "demo" / "dataset"
    with stages.stage("dialogues, tokenizer, MindRecord"):
        run([BIN / "python", "-m", "lab.workload.dataset", "--output", dataset], log=LOGS / "demo-dataset.log")
    with stages.stage("finetune (telechat-run finetune)"):
        shim = ROOT / "lab" / "workload" / "cpu_shim"
        finetune: list[str | Path] = [
            BIN / "telechat-run",
            "finetune",
            "-i",
            "inventory/local",
            "--env",
            f"PYTHONPATH={shim}",
        ]
        run([*finetune, "--config", CONFIG, "--dataset", dataset])
    print("\nWhat to try next: `sudo make demo`, which rehearses the whole story on two servers.")


def main() -> int:
    """Run the demo that this user can run and say how long each stage took."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab's servers up")
    keep = parser.parse_args().keep
    stages = Stages()
    try:
        if os.geteuid() == 0:
            on_the_lab(stages, keep=keep)
        else:
            on_this_machine(stages)
    except StageFailedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nHow long each stage took:\n{stages.report()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
