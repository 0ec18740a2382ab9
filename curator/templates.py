"""The sandboxed Jinja environment for instructions: a template sees one row, ``hash`` and ``rotate``, and nothing else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_OUTPUT = 100_000  # characters; an instruction is a sentence or two
MAX_JOINED = 16 << 20  # characters of rows that `~`, `+` and `string` put together: a hash may be of a whole row
MAX_INDENT = 8
MAX_TEXT = 20_000  # characters of the template itself
MAX_ARGUMENT = 200  # characters of a constant that a filter or method puts between or in place of others
REFUSED = (nodes.Macro, nodes.CallBlock, nodes.AssignBlock, nodes.FilterBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)
FILTERS = frozenset({"abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int", "items", "join", "last", "length", "list"}) | {
    *("lower", "replace", "reverse", "round", "sort", "string", "title", "tojson", "trim", "truncate", "unique", "upper", "wordcount")
}
METHODS = frozenset({"count", "endswith", "find", "get", "items", "keys", "lower", "lstrip", "rstrip", "split", "splitlines", "startswith", "strip"}) | {
    *("title", "upper", "values")
}
NAMES = frozenset({"row", "hash", "rotate", "loop", "range", "true", "false", "none", "True", "False", "None"})


class BadTemplate(Exception):
    """A template that cannot be used, with the reason; its line is within the template's own text."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


def stable_hash(value: object) -> int:
    """A 64-bit number from the text of ``value``: the same in every process and on every machine (BLAKE2b)."""
    digest = hashlib.blake2b(str(_printable(value)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class _Generator(CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:  # noqa: N802 - the name that Jinja looks for
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _Environment(SandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})
    code_generator_class = _Generator

    def __init__(self) -> None:
        # Not optimized: constants would be put through filters while it is compiled.
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, optimized=False, finalize=_printable)
        self.globals = {"hash": stable_hash, "range": self.globals["range"]}
        self.filters = {name: _bounded(name, self.filters[name]) for name in FILTERS}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            _refuse_larger(_size(left) + _size(right), MAX_JOINED)
        elif operator == "**" or not all(isinstance(side, (int, float)) for side in (left, right)):
            raise SecurityError(f"the operator {operator!r} is only for small numbers")
        return super().call_binop(context, operator, left, right)

    def joined(self, parts: Sequence[Any]) -> str:
        """What ``~`` makes of these parts."""
        _refuse_larger(sum(map(_size, parts)), MAX_JOINED)
        return "".join(map(str, parts))


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja that raises SecurityError before it makes more than the bounds: each makes a few times what it is given,
    so a chain of them would make any amount."""
    position = 1 if hasattr(function, "jinja_pass_arg") else 0
    check = BEFORE.get(name)

    @wraps(function)
    def filter(*given: Any, **named: Any) -> Any:
        value, arguments = given[position], given[position + 1 :]
        if name == "join" and not isinstance(value, (str, Mapping, list, tuple)):
            value = list(value)
            given = (*given[:position], value, *arguments)
        _printable(value)
        if check:
            check(value, *arguments, **named)
        result = function(*given, **named)
        if isinstance(result, str):
            _refuse_larger(len(result), max(MAX_JOINED if name == "string" and not isinstance(value, str) else MAX_OUTPUT, _size(value)))
        return result

    return filter


def _before_replace(value: Any, old: Any, new: Any, count: int | None = None) -> None:
    text = str(value)
    found = text.count(str(old)) if count is None else min(count, text.count(str(old)))
    _refuse_larger(len(text) + found * (len(str(new)) - len(str(old))), max(MAX_OUTPUT, len(text)))


def _before_join(value: Any, d: str = "", attribute: Any = None) -> None:  # noqa: ARG001 - a part of each item is no longer than the item
    _refuse_larger(sum(map(_size, value)) + len(d) * max(0, len(value) - 1), MAX_OUTPUT)


def _before_tojson(value: Any, indent: int | None = None) -> None:
    _refuse_larger(indent or 0, MAX_INDENT)
    _refuse_larger(_size(value), MAX_OUTPUT)


def _before_list(value: Any) -> None:
    if isinstance(value, str):
        _refuse_larger(len(value), MAX_OUTPUT)


BEFORE: dict[str, Callable[..., None]] = {
    "replace": _before_replace,
    "join": _before_join,
    "tojson": _before_tojson,
    "list": _before_list,
    "sort": lambda value, *_, **__: _before_list(value),
}


def _size(value: Any) -> int:
    """About how many characters a value has as text; what is above MAX_JOINED is not counted to the end."""
    total, left = 0, [value]
    while left and total <= MAX_JOINED:
        item = left.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, Mapping):
            total += len(item)
            left += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple)):
            total += len(item)
            left += item
        else:
            total += 8
    return total


def _printable(value: Any) -> Any:
    """The value itself, where its text is not too much to make."""
    if not isinstance(value, str):
        _refuse_larger(_size(value), MAX_JOINED)
    return value


def _refuse_larger(size: int, most: int) -> None:
    if size > most:
        raise SecurityError(f"it would make {size:,} of at most {most:,} characters")


@dataclass
class Instruction:
    """A compiled template. ``columns`` are the row's columns that it names."""

    text: str
    columns: tuple[str, ...] = ()
    _render: Callable[..., Iterator[str]] | None = None
    count: int = 0  # rows that it was written for so far; `rotate` goes by it

    def __call__(self, row: Mapping[str, Any]) -> str:
        """The instruction for one row. Raises BadTemplate where the row lacks what the template names."""
        if self._render is None:
            return self.text
        self.count += 1
        try:
            result = _first(self._render(row=dict(row), rotate=self._rotate))
        except RecursionError:
            raise BadTemplate("nested too deeply") from None
        except (TemplateError, TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
            raise BadTemplate(f"{error}; the row has {', '.join(row) or 'no columns'}") from None
        return result

    def _rotate(self, items: Sequence[Any]) -> Any:
        """The next item of a list, row by row: evenly over all of them."""
        return items[(self.count - 1) % len(items)]


def _first(parts: Iterator[str]) -> str:
    """The first MAX_OUTPUT characters; what would come after them is not made."""
    made: list[str] = []
    left = MAX_OUTPUT
    for part in parts:
        made.append(part[:left])
        left -= len(part)
        if left <= 0:
            break
    return "".join(made)


def compile(text: str) -> Instruction:
    """Compile an instruction. Plain text stays as it is. Raises BadTemplate."""
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        return Instruction(text)
    if len(text) > MAX_TEXT:
        raise BadTemplate(f"more than {MAX_TEXT} characters")
    environment = _Environment()
    try:
        tree = environment.parse(text)
        return Instruction(text, _inspect(tree), environment.from_string(text).generate)
    except TemplateError as error:
        raise BadTemplate(f"not a template: {error}", getattr(error, "lineno", None) or 1) from None
    except RecursionError:
        raise BadTemplate("nested too deeply") from None


def _inspect(tree: nodes.Template) -> tuple[str, ...]:
    """The columns that a template names. Raises BadTemplate for what reaches outside the row."""
    assigned = {n.name for n in tree.find_all(nodes.Name) if n.ctx in ("store", "param")}
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name not in NAMES | assigned:
            raise BadTemplate(f"unknown name {name.name!r}; a template sees row, hash and rotate", name.lineno)
    _refuse_programs(tree)
    lookups: list[nodes.Getattr | nodes.Getitem] = [*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)]
    for node in lookups:
        attribute = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", "")
        if isinstance(attribute, str) and attribute.startswith("_"):
            raise BadTemplate(f"{attribute!r} is outside the row; a template reads columns only", node.lineno)
    named = [_column(n) for n in lookups if _is_row(n.node)]
    return tuple(dict.fromkeys(c for c in named if c))


def _refuse_programs(tree: nodes.Template) -> None:
    """Raise BadTemplate for what could run without end or fill the memory: a template puts a row's columns into a sentence."""
    for bad in tree.find_all(REFUSED):
        raise BadTemplate(f"{type(bad).__name__.lower()} has no place in an instruction", bad.lineno)
    for number in tree.find_all(nodes.Const):
        if number.value == math.inf:  # 1e999: Jinja writes it into its program as a name that is not there
            raise BadTemplate("a number without end has no place in an instruction", number.lineno)
    for loop in tree.find_all(nodes.For):
        if loop.recursive or any(True for part in loop.body for _ in _within(part, nodes.For)):
            raise BadTemplate("a loop cannot stand in another", loop.lineno)
    for assigned in tree.find_all(nodes.Assign):
        if any(True for _ in _within(assigned.node, (nodes.Concat, nodes.BinExpr, nodes.Filter))):
            raise BadTemplate("`set` takes a list, a column or a value as it is", assigned.lineno)
    _refuse_calls(tree)


def _refuse_calls(tree: nodes.Template) -> None:
    for used in tree.find_all(nodes.Filter):
        if used.name not in FILTERS:
            raise BadTemplate(f"filter {used.name!r}; there are {', '.join(sorted(FILTERS))}", used.lineno)
        if used.name in ("join", "replace", "default", "d"):
            _refuse_long([*used.args, *(k.value for k in used.kwargs)], used.lineno)
    for call in tree.find_all(nodes.Call):
        known = isinstance(call.node, nodes.Name) or (isinstance(call.node, nodes.Getattr) and call.node.attr in METHODS)
        if not known or call.dyn_args or call.dyn_kwargs:
            raise BadTemplate(f"a template calls hash, rotate, range, and of a text {', '.join(sorted(METHODS))}", call.lineno)


def _within(node: nodes.Node, kinds: Any) -> Iterator[nodes.Node]:
    """The node itself and all in it, of these kinds."""
    if isinstance(node, kinds):
        yield node
    yield from node.find_all(kinds)


def _refuse_long(arguments: Sequence[nodes.Node], line: int) -> None:
    for argument in arguments:
        if not isinstance(argument, nodes.Const) or len(str(argument.value)) > MAX_ARGUMENT:
            raise BadTemplate(f"what is joined with or replaced by is a text of at most {MAX_ARGUMENT} characters", line)


def _is_row(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "row"


def _column(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None
