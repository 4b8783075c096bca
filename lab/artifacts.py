# SPDX-License-Identifier: Apache-2.0
"""The entries of the lab's cache, and what each is made from."""

from __future__ import annotations

import platform
from functools import cache
from typing import TYPE_CHECKING

from lab import debian, image, mindspore_env, python_root, repository
from lab.cache import Entry, sources
from lab.layout import SUITE

if TYPE_CHECKING:
    from pathlib import Path


@cache
def base() -> Entry:
    """Return the hosts' base image."""
    return Entry(
        name="base",
        ingredients=(SUITE, platform.machine(), sources("debian.py", "host_python")),
        build=debian.build_base,
    )


@cache
def apt() -> Entry:
    """Return the hosts' apt repository."""
    return Entry(
        name="apt",
        ingredients=(platform.release(), sources("repository.py", "kernel_headers.py")),
        build=repository.build,
        needs=(base(),),
    )


@cache
def container_image() -> Entry:
    """Return the container image's archive."""
    return Entry(
        name="image",
        ingredients=(SUITE, platform.machine(), sources("debian.py", "image.py")),
        build=image.build,
    )


@cache
def hdk() -> Entry:
    """Return the simulated vendor's packages."""
    return Entry(name="hdk", ingredients=(platform.machine(), sources("vendor")), build=_build_hdk)


@cache
def python() -> Entry:
    """Return the root file system in which the MindSpore environment is made."""
    return Entry(
        name="python",
        ingredients=(SUITE, platform.machine(), python_root.PACKAGES, sources("debian.py", "python_root.py")),
        build=python_root.build,
    )


@cache
def mindspore() -> Entry:
    """Return the MindSpore environment."""
    return Entry(
        name="mindspore",
        ingredients=(mindspore_env.project_pins(), sources("mindspore_env.py")),
        build=mindspore_env.build,
        needs=(python(),),
    )


@cache
def workload() -> Entry:
    """Return the training data and the CPU shim."""
    return Entry(
        name="workload", ingredients=(sources("workload"),), build=_build_workload, needs=(python(), mindspore())
    )


def wanted(*, with_mindspore: bool) -> list[Entry]:
    """Return what a lab is made from; the slowest first."""
    entries = [base(), apt(), container_image(), hdk()]
    return [workload(), mindspore(), *entries] if with_mindspore else entries


def _build_hdk(folder: Path, _needs: dict[str, Path]) -> None:
    from lab.vendor import packages  # noqa: PLC0415 - the vendor's builder is loaded only to build

    packages.build(folder)


def _build_workload(folder: Path, needs: dict[str, Path]) -> None:
    from lab.workload import archives  # noqa: PLC0415 - loaded only to build

    archives.build(folder, needs)
