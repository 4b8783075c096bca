# SPDX-License-Identifier: Apache-2.0
"""A MindFormers yaml with a job's settings laid over it: read once, written once, comments and spellings kept.

Scalars keep the letters they were written with, so the diff shows what a job changes and nothing else.
"""

from __future__ import annotations

import copy
import difflib
import io
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Union

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor, SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from telechat_runtime.errors import ConfigError
from telechat_runtime.job.options import Override
from telechat_runtime.training.yaml_view import YamlView

_NEAREST = 3
# MindFormers reads with PyYAML (YAML 1.1), for which a float needs a point: it takes 1e-5 for text.
_FLOAT_WITHOUT_POINT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")


@dataclass(frozen=True)
class _Raw:
    """A scalar other than text (bool, int, float, null), with the letters of the file.

    No `str`: ruamel would give it the quotes of the text that it replaces.
    """

    text: str
    kind: str
    value: Union[bool, int, float, None]

    def __str__(self) -> str:
        return self.text


class _Constructor(RoundTripConstructor):
    """Keeps the letters of scalars; a class of its own, as ruamel registers constructors on the class."""


class _Representer(RoundTripRepresenter):
    """Writes a _Raw as it was read."""


def _construct_raw(constructor: Any, node: ScalarNode) -> _Raw:
    kind = str(node.tag).rpartition(":")[2]
    return _Raw(node.value, kind, getattr(SafeConstructor, f"construct_yaml_{kind}")(constructor, node))


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


class Document:
    """A yaml and what is laid over it: settings first, then the user's overrides. Does not change once made."""

    def __init__(self, origin: _Origin, settings: Sequence[Setting] = (), overrides: Sequence[Override] = ()) -> None:
        self._origin = origin
        self.source = origin.source
        self._settings = tuple(settings)
        self._overrides = tuple(overrides)
        self.values = self._laid_values()
        """The yaml as plain data, to read only."""

    @staticmethod
    def load(text: str, source: str) -> Document:
        """Read a yaml. Raises ConfigError for a text that holds no yaml mapping."""
        return Document(_Origin(text, source))

    def laid(self, settings: Sequence[Setting], overrides: Sequence[Override] = ()) -> Document:
        """Return the yaml as it was read with these laid over it, in place of what is laid over this one.

        Raises ConfigError for an override whose key the yaml does not have.
        """
        return Document(self._origin, settings, overrides)

    def get(self, key: str) -> Any:
        """Return the value at a dotted key as plain data; None where there is none."""
        return YamlView(self.values).get(key)

    @cached_property
    def text(self) -> str:
        """The yaml with all that is laid over it."""
        tree = self._origin.take_tree()
        self._lay(tree, as_tree=True)
        return _dump(tree)

    @cached_property
    def diff(self) -> str:
        """How the text differs from the yaml that was read, as a unified diff; empty when equal."""
        after, before = self.text.splitlines(), self._origin.written.splitlines()
        return "\n".join(difflib.unified_diff(before, after, self._origin.source, "config.yaml", n=0, lineterm=""))

    def _laid_values(self) -> Dict[str, Any]:
        if self._origin.merges and (self._settings or self._overrides):
            # A value that others merge (<<) changes in all of them: only the tree knows.
            return Document.load(self.text, self._origin.source).values
        values: Dict[str, Any] = copy.deepcopy(self._origin.values)
        self._lay(values, as_tree=False)
        return values

    def _lay(self, document: Dict[str, Any], *, as_tree: bool) -> None:
        source = self._origin.source
        for setting in self._settings:
            if not setting.section or isinstance(YamlView(document).get(setting.section), dict):
                value = _scalar(setting.value) if as_tree else copy.deepcopy(setting.value)
                _put(document, setting.key, value, add=True, source=source)
                if as_tree:
                    _remark(document, setting)
        for override in self._overrides:
            value = _load_value(override)
            _put(document, override.key, value if as_tree else _plain(value, {}), add=override.add, source=source)


class _Origin:
    """A yaml as it was read: its tree, to be taken once and changed then, and its plain data."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self.source = source
        tree = _load(text, source)
        self.values: Dict[str, Any] = _plain(tree, {})
        self.merges = "<<" in text
        self.written = ""
        self._tree: Optional[CommentedMap] = tree

    def take_tree(self) -> CommentedMap:
        """Return a tree that nobody else has, and keep in `written` how it is written when nothing is laid over it."""
        tree = _load(self._text, self.source) if self._tree is None else self._tree
        self._tree = None
        self.written = self.written or _dump(tree)
        return tree


def _plain(value: Any, seen: Dict[int, Any]) -> Any:
    """Return a tree as dicts, lists and scalars; what the yaml has once and names twice (&, *) stays one value."""
    if isinstance(value, _Raw):
        return value.value
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, CommentedMap):
        made: Dict[Any, Any] = {}
        seen[id(value)] = made
        made.update((_plain(name, seen), _plain(item, seen)) for name, item in value.items())
        return made
    if isinstance(value, CommentedSeq):
        items: list[Any] = []
        seen[id(value)] = items
        items.extend(_plain(item, seen) for item in value)
        return items
    return str(value) if isinstance(value, str) else value


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
        value = _yaml().load(override.value) if override.value else _Raw("", "null", None)
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"--set {override.key}: {override.value!r} is no yaml value") from error
    if isinstance(value, _Raw) and _FLOAT_WITHOUT_POINT.fullmatch(value.text):
        return _scalar(float(value.text))
    return _Raw("null", "null", None) if value is None else value


def _scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return _Raw(str(value), "bool", value)
    if isinstance(value, int):
        return _Raw(str(value), "int", value)
    if isinstance(value, float):
        text = repr(value)
        return _Raw(text if "." in text else text.replace("e", ".0e"), "float", value)
    if isinstance(value, (list, tuple)):
        items = CommentedSeq(_scalar(item) for item in value)
        items.fa.set_flow_style()
        return items
    if isinstance(value, Mapping):
        return CommentedMap((name, _scalar(item)) for name, item in value.items())
    return value


def _put(document: Dict[str, Any], key: str, value: Any, *, add: bool, source: str) -> None:
    *sections, last = key.split(".")
    here: Any = document
    for part in sections:
        if not _has(here, part):
            if not add or not isinstance(here, dict):
                raise _unknown(document, key, source)
            here[part] = type(here)()
        here = here[_index(here, part)]
    if not _has(here, last) and not (add and isinstance(here, dict)):
        raise _unknown(document, key, source)
    here[_index(here, last)] = value


def _remark(tree: Dict[str, Any], setting: Setting) -> None:
    *sections, last = setting.key.split(".")
    section = YamlView(tree).get(".".join(sections)) if sections else tree
    # A comment of the yaml's author stays.
    if setting.reason and isinstance(section, CommentedMap) and last not in section.ca.items:
        section.yaml_add_eol_comment(setting.reason, last)


def _has(here: Any, part: str) -> bool:
    if isinstance(here, dict):
        return part in here
    return isinstance(here, list) and part.isdigit() and int(part) < len(here)


def _index(here: Any, part: str) -> Any:
    return int(part) if isinstance(here, list) else part


def _unknown(document: Dict[str, Any], key: str, source: str) -> ConfigError:
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
    if isinstance(value, dict):
        items = {str(name): item for name, item in value.items()}
    elif isinstance(value, list):
        items = {str(index): item for index, item in enumerate(value)}
    for name, item in items.items():
        yield prefix + name
        yield from _keys(item, f"{prefix}{name}.")
