"""YAML in which a mistake has a line: nothing is said twice, and every place is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MERGE = "tag:yaml.org,2002:merge"


class FileTrouble(Exception):  # noqa: N818 - told on as an error of the file that it is about
    """What is wrong with a text, and in which line; None where nobody can say."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read(text: str) -> tuple[yaml.Node | None, Any]:
    """Read a text: its nodes, which know their lines, and its values.

    Raises
    ------
    FileTrouble
        It is no YAML, or a key stands twice in the same place; YAML itself would quietly take the last.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        for place, first, again in _twice(node):
            message = f"{'.'.join(place)}: stands here and in line {first} already"
            raise FileTrouble(again, message)
        return node, yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or error
        raise FileTrouble(mark.line + 1 if mark else None, f"not valid YAML: {said}") from error
    except (ValueError, OverflowError) as error:  # a number of thousands of digits, the 31st of February
        raise FileTrouble(None, f"a value can't be read: {error}") from error
    except RecursionError as error:
        raise FileTrouble(None, "not valid YAML: nested too deeply") from error


def _twice(node: yaml.Node | None) -> Iterator[tuple[list[str], int, int]]:
    """Find keys that stand twice: where, in which line first, and in which again."""
    seen: set[int] = set()
    left: list[tuple[list[str], yaml.Node | None]] = [([], node)]
    while left:
        place, one = left.pop()
        if one is None or id(one) in seen:  # an alias leads to what was looked at already, perhaps to itself
            continue
        seen.add(id(one))
        if isinstance(one, yaml.SequenceNode):
            left += [([*place, str(index)], child) for index, child in enumerate(one.value)]
        elif isinstance(one, yaml.MappingNode):
            first: dict[Any, int] = {}
            for key, child in one.value:
                here, line = [*place, str(key.value)], key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                    if key.value in first:
                        yield here, first[key.value], line
                    first[key.value] = line
                left.append((here, child))


def line_of(node: yaml.Node | None, where: Sequence[str | int]) -> int:
    """Find the line of the deepest part of `where` that is in the text."""
    line = node.start_mark.line + 1 if node else 1
    for part in where:
        if isinstance(node, yaml.MappingNode):
            found = _entry(node, str(part))
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def keys_of(node: yaml.Node | None, where: Sequence[str]) -> list[str]:
    """List the keys of the mapping at a place, merged ones included; none where there is no mapping."""
    for part in where:
        found = _entry(node, part) if isinstance(node, yaml.MappingNode) else None
        if found is None:
            return []
        node = found[1]
    return [key.value for mapping in _merged(node) for key, _ in mapping.value if key.tag != _MERGE]


def _entry(node: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = [pair for mapping in _merged(node) for pair in mapping.value if pair[0].value == key]
    return pairs[0] if pairs else None


def _merged(node: yaml.Node | None, depth: int = 0) -> Iterator[yaml.MappingNode]:
    """Give a mapping and those that it takes in by ``<<``, which come after its own."""
    if not isinstance(node, yaml.MappingNode) or depth > 20:
        return
    yield node
    for key, value in node.value:
        if key.tag == _MERGE:
            for child in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                yield from _merged(child, depth + 1)
