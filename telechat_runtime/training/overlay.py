# SPDX-License-Identifier: Apache-2.0
"""Lays a job's settings over a MindFormers yaml: text in, text and diff out; comments and spellings stay.

Scalars keep the letters they were written with, so the diff of an overlay shows what it changed and nothing else.
"""

from __future__ import annotations

import difflib
import io
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Sequence, Union

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from telechat_runtime.errors import ConfigError
from telechat_runtime.job.options import Override

_NEAREST = 3
_DATA_LOADER = "train_dataset.data_loader"
# MindFormers reads with PyYAML (YAML 1.1), for which a float needs a point: it takes 1e-5 for text.
_FLOAT_WITHOUT_POINT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")


@dataclass(frozen=True)
class _Raw:
    """A scalar that is no text (bool, int, float, null), with the letters of the file.

    No `str`: ruamel would give it the quotes of the text that it replaces.
    """

    text: str
    kind: str

    def __str__(self) -> str:
        return self.text


class _Constructor(RoundTripConstructor):
    """Keeps the letters of scalars; a class of its own, as ruamel registers constructors on the class."""


class _Representer(RoundTripRepresenter):
    """Writes a _Raw as it was read."""


def _construct_raw(_constructor: Any, node: ScalarNode) -> _Raw:
    return _Raw(node.value, str(node.tag).rpartition(":")[2])


def _represent_raw(representer: Any, raw: _Raw) -> ScalarNode:
    node: ScalarNode = representer.represent_scalar(f"tag:yaml.org,2002:{raw.kind}", raw.text)
    return node


for _kind in ("bool", "int", "float", "null"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_kind}", _construct_raw)
_Representer.add_representer(_Raw, _represent_raw)


@dataclass(frozen=True)
class Setting:
    """A value for a dotted key of the yaml; the key is made unless `section`, a part of it, has to be there already.

    A `reason` stands as a comment beside the value, and so in the diff too.
    """

    key: str
    value: Union[str, int, float, bool, Sequence[Any], Mapping[str, Any]]
    section: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Overlay:
    """The job's own yaml, and how it differs from the one it was made from (unified diff, empty when equal)."""

    text: str
    diff: str


@dataclass(frozen=True)
class ConfigFacts:
    """What a plan needs to know of the yaml."""

    model_name: str
    dataset: str
    checkpoint: str
    pipeline_stages: int = 1  # with more than one, only the last stage knows the loss


def overlay(text: str, settings: Sequence[Setting], overrides: Sequence[Override], *, source: str) -> Overlay:
    """Return `text` with the settings, then the user's overrides, laid over it.

    Raises ConfigError for a text that is no yaml mapping, and for an override whose key the yaml does not have.
    """
    document = _load(text, source)
    before = _dump(document)
    for setting in settings:
        if _get(document, setting.section, None) is not None:
            _put(document, setting.key, _scalar(setting.value), add=True, source=source)
            _remark(document, setting)
    for override in overrides:
        value = _load_value(override)
        _put(document, override.key, value, add=override.add, source=source)
    after = _dump(document)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), source, "config.yaml", n=0, lineterm="")
    return Overlay(text=after, diff="\n".join(lines))


def config_facts(text: str, *, source: str) -> ConfigFacts:
    """Read from the yaml what a plan needs."""
    document = _load(text, source)
    stages = str(_get(document, "parallel_config.pipeline_stage", ""))
    return ConfigFacts(
        model_name=_text(document, "trainer.model_name"),
        dataset=_text(document, f"{_DATA_LOADER}.dataset_dir"),
        checkpoint=_text(document, "load_checkpoint"),
        pipeline_stages=int(stages) if stages.isdigit() else 1,
    )


def config_values(text: str, *, source: str) -> Dict[str, Any]:
    """Return the yaml as plain data. Raises ConfigError for a text that is no yaml mapping."""
    _load(text, source)  # says what is wrong with it
    values: Dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return values


def _yaml() -> Any:
    yaml = YAML()
    yaml.Constructor = _Constructor
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 100_000  # a folded line would look like a change
    return yaml


def _dump(document: CommentedMap) -> str:
    out = io.StringIO()
    _yaml().dump(document, out)
    return out.getvalue()


def _load(text: str, source: str) -> CommentedMap:
    try:
        document = _yaml().load(text)
    except (YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n", maxsplit=1)[0]
        raise ConfigError(f"{source}{where}: no valid yaml: {problem}") from error
    if not isinstance(document, CommentedMap):
        raise ConfigError(f"{source}: holds no sections; a MindFormers yaml is a mapping")
    return document


def _load_value(override: Override) -> Any:
    try:
        value = _yaml().load(override.value) if override.value else _Raw("", "null")
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"--set {override.key}: {override.value!r} is no yaml value") from error
    if isinstance(value, _Raw) and _FLOAT_WITHOUT_POINT.fullmatch(value.text):
        return _scalar(float(value.text))
    return _Raw("null", "null") if value is None else value


def _scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return _Raw(str(value), "bool")
    if isinstance(value, int):
        return _Raw(str(value), "int")
    if isinstance(value, float):
        text = repr(value)
        return _Raw(text if "." in text else text.replace("e", ".0e"), "float")
    if isinstance(value, (list, tuple)):
        items = CommentedSeq(_scalar(item) for item in value)
        items.fa.set_flow_style()
        return items
    if isinstance(value, Mapping):
        return CommentedMap((name, _scalar(item)) for name, item in value.items())
    return value


def _get(document: Any, key: str, default: Any) -> Any:
    for part in filter(None, key.split(".")):
        if not isinstance(document, CommentedMap) or part not in document:
            return default
        document = document[part]
    return default if document is None else document


def _text(document: CommentedMap, key: str) -> str:
    value = _get(document, key, "")
    return str(value) if isinstance(value, str) else ""


def _put(document: CommentedMap, key: str, value: Any, *, add: bool, source: str) -> None:
    *sections, last = key.split(".")
    here: Any = document
    for part in sections:
        if not _has(here, part):
            if not add or not isinstance(here, CommentedMap):
                raise _unknown(document, key, source)
            here[part] = CommentedMap()
        here = here[_index(here, part)]
    if not _has(here, last) and not (add and isinstance(here, CommentedMap)):
        raise _unknown(document, key, source)
    here[_index(here, last)] = value


def _remark(document: CommentedMap, setting: Setting) -> None:
    *sections, last = setting.key.split(".")
    section = _get(document, ".".join(sections), None)
    # A comment of the yaml's author stays.
    if setting.reason and isinstance(section, CommentedMap) and last not in section.ca.items:
        section.yaml_add_eol_comment(setting.reason, last)


def _has(here: Any, part: str) -> bool:
    if isinstance(here, CommentedMap):
        return part in here
    return isinstance(here, CommentedSeq) and part.isdigit() and int(part) < len(here)


def _index(here: Any, part: str) -> Any:
    return int(part) if isinstance(here, CommentedSeq) else part


def _unknown(document: CommentedMap, key: str, source: str) -> ConfigError:
    known = list(_keys(document, ""))
    last = key.rsplit(".", maxsplit=1)[-1]
    near = [name for name in known if name.rsplit(".", maxsplit=1)[-1] == last]
    near += [name for name in difflib.get_close_matches(key, known, n=_NEAREST) if name not in near]
    step = f"write +{key}=… to add it on purpose"
    if near:
        step = f"did you mean {' or '.join(near[:_NEAREST])}? {step[0].upper()}{step[1:]}"
    return ConfigError(f"--set {key}: {source} has no such key", next_step=step)


def _keys(value: Any, prefix: str) -> Iterator[str]:
    items: Dict[str, Any] = {}
    if isinstance(value, CommentedMap):
        items = {str(name): item for name, item in value.items()}
    elif isinstance(value, CommentedSeq):
        items = {str(index): item for index, item in enumerate(value)}
    for name, item in items.items():
        yield prefix + name
        yield from _keys(item, f"{prefix}{name}.")
