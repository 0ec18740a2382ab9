"""A chat template within bounds that are counted and not timed: what it evaluates, and how much text it makes.

A chat template is a program from outside. It is compiled as transformers compiles it, with counters put at the head of its loops
and around all that can grow; so the same conversation is kept or dropped on every machine.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, ItemsView, Iterator, KeysView, Sequence, ValuesView
from datetime import datetime
from functools import wraps
from types import BuiltinMethodType
from typing import Any

from jinja2 import Template, nodes
from jinja2.runtime import BlockReference, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MOST_CHARACTERS = 4_000_000  # of one document; the rest could not be placed in any sample
MOST_TEMPLATE = 1_000_000  # characters of the template itself; known ones have up to 20,000
MOST_WORK = 3_000_000  # nodes of the template evaluated for one conversation, and one more for 32 characters looked at: a few seconds
ENTRY = 5  # what going once more through a loop or into a macro costs beside the nodes in it
MOST_MADE = 64_000_000  # characters of all texts made on the way; a place in a list counts as 8
MOST_DEPTH = 100  # of values within values
MOST_CALLS = 40  # of macros within macros; Python itself gives up somewhere above a hundred
MOST_BITS = 4096  # of a whole number
MOST_WIDTH = 100_000  # of padding, of an indent, of a list cut into pieces
TODAY = datetime(2024, 7, 26)  # what a template that asks is told, so that a build is the same on every day

CONTAINERS = (list, tuple, dict, set, frozenset, ItemsView, KeysView, ValuesView)
TEXT_METHODS = frozenset({"capitalize", "casefold", "center", "count", "endswith", "expandtabs", "find", "format", "index", "join", "ljust", "lower"}) | {
    *("lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split"),
    *("splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit"),
    *("isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper"),
}
OTHER_METHODS = frozenset({"copy", "count", "get", "index", "items", "keys", "values"})
FILTERS_LEFT_OUT = frozenset({"pprint", "random", "urlize", "wordwrap", "xmlattr"})  # nobody's, and their cost cannot be told beforehand
DEEP = frozenset({"dictsort", "groupby", "join", "max", "min", "sort", "string", "sum", "tojson", "unique"})  # look into what they are given
QUICK = frozenset({"count", "d", "default", "first", "items", "last", "length"})  # cost the same however long a list is
ANY_NUMBER = frozenset({"%", "count", "d", "default", "float", "format", "index", "int"})  # a number that they are given is no size
COMPARING = frozenset({"==", "!=", "<", "<=", ">", ">=", "eq", "equalto", "ne", "in", "lt", "lessthan", "le", "gt", "greaterthan", "ge", "lower", "upper"})
PERCENT_SPEC = re.compile(r"[%)]([-+ #0-9.*]*)")
BRACED_SPEC = re.compile(r"\{[^{}]*:([^{}]*\{?)")


class Exceeds(Exception):
    """A chat template went past a bound."""


class _Meter(threading.local):
    """What the rendering at hand has left; each thread has its own."""

    work = room = most = depth = 0
    known: dict[int, tuple[Any, int]]

    def start(self, *conversation: Any) -> None:
        """Begin a rendering. What a conversation brings along is not held against the template."""
        self.work, self.room, self.most, self.depth, self.known = MOST_WORK, MOST_MADE, MOST_CHARACTERS, 0, {}
        size = sum(map(self.weight, conversation))
        self.work, self.room, self.most = MOST_WORK + size, MOST_MADE + 8 * size, MOST_CHARACTERS + 2 * size

    def step(self, cost: int) -> bool:
        """Pay for evaluating ``cost`` nodes. Always true, so that it can stand in a condition."""
        self.work -= cost
        if self.work < 0:
            raise Exceeds(f"the chat template runs on after {MOST_WORK:,} steps")
        return True

    def weight(self, value: Any, depth: int = 0) -> int:
        """Characters of a value when it is written out, about; a part that stands in it twice counts twice, but is looked at once."""
        if isinstance(value, str):
            return len(value)
        if not isinstance(value, CONTAINERS):
            if isinstance(value, Namespace):
                raise Exceeds("the chat template puts a namespace into a list")
            return 8
        known = self.known.get(id(value))
        if known is None:
            if depth > MOST_DEPTH:
                raise Exceeds(f"values are nested more than {MOST_DEPTH} deep")
            self.step(len(value))
            parts = (part for pair in value.items() for part in pair) if isinstance(value, dict) else iter(value)
            known = self.known[id(value)] = (value, 8 + sum(8 + self.weight(part, depth + 1) for part in parts))
        return known[1]

    def touched(self, value: Any) -> Any:
        """Pay for going through a value; gives it back."""
        if type(value) is str:
            if len(value) > 255:
                self.step(len(value) >> 5)
        elif isinstance(value, (str, *CONTAINERS)):
            self.step(self.weight(value) >> 5)
        return value

    def fits(self, size: int) -> None:
        """Refuse a text or list of this size before it is made."""
        if size > min(self.most, self.room):
            raise Exceeds(f"the chat template makes a value of more than {MOST_CHARACTERS:,} characters")

    def made(self, value: Any) -> Any:
        """Pay for a value that has been made; gives it back."""
        if isinstance(value, str):
            self.fits(len(value))
            self.room -= len(value)
        elif isinstance(value, CONTAINERS):
            self.fits(max(self.weight(value), 8 * len(value)))
            self.room -= 8 + 8 * len(value)
        elif isinstance(value, int):
            if value.bit_length() > MOST_BITS:
                raise Exceeds(f"the chat template makes a number of more than {MOST_BITS} bits")
        elif isinstance(value, Iterator):
            return self._counted(value)
        return value

    def shown(self, value: Any) -> Any:
        """Pay for writing out what is not text yet; gives it back."""
        if type(value) is not str and isinstance(value, CONTAINERS):
            size = self.weight(value)
            self.fits(size)
            self.room -= size
        return value

    def concat(self, parts: Sequence[str]) -> str:
        """What a macro or a block has written, as one text."""
        parts = list(parts)
        self.fits(sum(map(len, parts)))
        return str(self.made("".join(parts)))

    def _counted(self, values: Iterator[Any]) -> Iterator[Any]:
        for value in values:
            self.step(1)
            yield value


METER = _Meter()


def _longest(values: Sequence[Any]) -> int:
    return max((len(v) if isinstance(v, str) else METER.weight(v) for v in values), default=0)


def _width(values: Sequence[Any]) -> int:
    return max((abs(v) for v in values if isinstance(v, int)), default=0)


def _pay(name: str, subject: Any, others: Sequence[Any]) -> None:
    """Pay for a filter or a method beforehand, and refuse what would grow too large."""
    if _width(others) > MOST_WIDTH and name not in ANY_NUMBER:
        raise Exceeds(f"the chat template gives {name} a number of more than {MOST_WIDTH:,}")
    if isinstance(subject, str):
        METER.step((len(subject) >> 5) * (1 + (_longest(others) >> 8 if "strip" in name or name == "trim" else 0)))
    elif isinstance(subject, (range, *CONTAINERS)) and name not in QUICK:
        METER.step(ENTRY * len(subject) + (METER.weight(subject) >> 5 if name in DEEP else 0))
    growth = GROWTH.get(name)
    if growth:
        METER.fits(growth(subject, others))


def _joined(separator: Any, values: Any) -> int:
    size = len(separator) if isinstance(separator, str) else METER.weight(separator)
    return METER.weight(values) + size * (len(values) if hasattr(values, "__len__") else 0)


def _replaced(text: Any, others: Sequence[Any]) -> int:
    text, new = str(text), _longest(others)
    old = next((o for o in others if isinstance(o, str)), "")
    return len(text) + new * (text.count(old) if old else len(text) + 1)


def _lines_indented(text: Any, others: Sequence[Any]) -> int:
    width: int = max([4, _width(others), *(len(o) for o in others if isinstance(o, str))])
    return METER.weight(text) + (str(text).count("\n") + 1) * width


def _as_json(value: Any, others: Sequence[Any]) -> int:
    size = METER.weight(value)
    return size + (size >> 3) * _width(others) + (size >> 3) * sum(METER.weight(o) for o in others if not isinstance(o, int) and o is not None)


def _percent_formatted(text: Any, others: Sequence[Any]) -> int:
    return len(str(text)) + str(text).count("%") * (8 + _longest(others) + _widest(PERCENT_SPEC, str(text)))


def _brace_formatted(text: Any, others: Sequence[Any]) -> int:
    plain = str(text).replace("{{", "").replace("}}", "").replace("*", " ")  # there a star is only what fills
    return len(plain) + plain.count("{") * (8 + _longest(others) + _widest(BRACED_SPEC, plain))


def _widest(form: re.Pattern[str], text: str) -> int:
    """The largest width in a format. Raises Exceeds where it is beyond MOST_WIDTH, or comes as an argument."""
    found = [width for spec in form.findall(text) for width in re.findall(r"\d+|[*{]", spec)]
    if any(not width.isdecimal() or len(width) > 6 or int(width) > MOST_WIDTH for width in found):
        raise Exceeds("the chat template formats to a width that is too large, or not its own")
    return max(map(int, found), default=0)


GROWTH: dict[str, Callable[[Any, Sequence[Any]], int]] = {
    "join": lambda subject, others: _joined(others[0] if others else "", subject),
    "replace": _replaced,
    "indent": _lines_indented,
    "tojson": _as_json,
    "%": _percent_formatted,
    "format": _brace_formatted,
    "expandtabs": lambda text, others: len(text) + text.count("\t") * max(8, _width(others)),
}


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    own = 1 if hasattr(function, "jinja_pass_arg") else 0  # the context, or what else of Jinja's it asks for

    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        values = list(args[own:])
        if name == "join" and values and isinstance(values[0], Iterator):
            values[0] = list(values[0])
        _pay("%" if name == "format" else name, values[0] if values else None, [*values[1:], *kwargs.values()])
        return METER.made(function(*args[:own], *values, **kwargs))

    return bounded


def _bounded_test(function: Callable[..., Any]) -> Callable[..., Any]:
    own = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        for value in args[own:]:
            METER.touched(value)
        return function(*args, **kwargs)

    return bounded


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with a price on calls and operators."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    concat = staticmethod(METER.concat)  # type: ignore[assignment]

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator != "+":
            _refuse_growth(operator, left, right)
        return METER.made(super().call_binop(context, operator, left, right))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(obj, METER.touched(argument) if isinstance(argument, tuple) else argument)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        _pay_call(obj, [*args, *kwargs.values()])
        if not isinstance(obj, (Macro, LoopContext, BlockReference)):
            return METER.made(super().call(context, obj, *args, **kwargs))
        METER.depth += 1
        try:
            if METER.depth > MOST_CALLS:
                raise Exceeds(f"macros of the chat template call each other {MOST_CALLS} deep")
            return super().call(context, obj, *args, **kwargs)
        finally:
            METER.depth -= 1


def _refuse_growth(operator: str, left: Any, right: Any) -> None:
    if operator == "%" and isinstance(left, str):
        _pay("%", left, right if isinstance(right, tuple) else (right,))
    elif operator == "**" and not (isinstance(right, (int, float)) and abs(right) <= MOST_BITS):
        raise Exceeds(f"the chat template raises to a power of more than {MOST_BITS}")
    elif operator == "*":
        for times, repeated in ((left, right), (right, left)):
            if isinstance(times, int) and isinstance(repeated, (str, *CONTAINERS)):
                METER.fits(METER.weight(repeated) * abs(times))


def _pay_call(obj: Any, values: Sequence[Any]) -> None:
    target = getattr(obj, "__wrapped__", obj)  # the sandbox wraps `format`
    owner, name = getattr(target, "__self__", None), getattr(target, "__name__", "")
    if isinstance(owner, str) and name == "join" and values:
        _pay(name, values[0], [owner])
    elif isinstance(owner, str) and name in TEXT_METHODS:
        _pay(name, owner, values)
    elif isinstance(owner, CONTAINERS) and name in OTHER_METHODS:
        if name in ("count", "index"):
            METER.touched(owner)
    elif isinstance(owner, str) or isinstance(target, BuiltinMethodType):
        raise Exceeds(f"the chat template calls {name!r}, which has no place in one")


class _Counting(NodeTransformer):
    """Put counters into a template. They go by names that no template can write."""

    def _headed(self, node: Any) -> Any:
        cost = ENTRY + sum(1 + sum(1 for _ in part.find_all(nodes.Node)) for part in node.body)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_through("step!", nodes.Const(cost))))
        return node

    visit_Macro = visit_CallBlock = visit_Block = _headed

    def visit_For(self, node: nodes.For) -> Any:
        node = self._headed(node)
        if node.test is not None:  # rows that it leaves out cost time, too
            cost = sum(1 for _ in node.test.find_all(nodes.Node))
            node.test = nodes.And(_through("step!", nodes.Const(ENTRY + cost)), node.test)
        return node

    def visit_Compare(self, node: nodes.Compare) -> Any:
        self.generic_visit(node)
        node.expr = _through("touched!", node.expr)
        for operand in node.ops:
            operand.expr = _through("touched!", operand.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> Any:
        self.generic_visit(node)
        node.nodes = [_through("shown!", part) for part in node.nodes]
        return _through("made!", node)

    def visit_List(self, node: Any) -> Any:
        self.generic_visit(node)
        constant = all(isinstance(item, nodes.Const) for item in getattr(node, "items", ()))
        return node if constant or getattr(node, "ctx", "load") != "load" else _through("made!", node)

    visit_Tuple = visit_Dict = visit_List

    def visit_Getitem(self, node: nodes.Getitem) -> Any:
        self.generic_visit(node)
        return _through("made!", node) if isinstance(node.arg, nodes.Slice) else node


def _through(name: str, node: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const) and name != "step!":
        return node
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno or 1)


def _today(format: str) -> str:
    return TODAY.strftime(format)


def _environment() -> _Environment:
    """Settings, filters and tags are those that transformers renders chat templates with."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    theirs = _compile_jinja_template("").environment
    alike = {name: getattr(theirs, name) for name in ("trim_blocks", "lstrip_blocks", "keep_trailing_newline", "newline_sequence", "autoescape", "undefined")}
    # Not optimized: that would work out constant expressions, counters among them, when it compiles.
    ours = _Environment(**alike, optimized=False, finalize=METER.shown, extensions=[type(e) for e in theirs.extensions.values()])
    ours.filters = {name: _bounded_filter(name, function) for name, function in theirs.filters.items() if name not in FILTERS_LEFT_OUT}
    ours.filters |= {"step!": METER.step, "touched!": METER.touched, "shown!": METER.shown, "made!": METER.made}
    ours.tests = {name: _bounded_test(function) if name in COMPARING else function for name, function in theirs.tests.items()}
    # `dict` as Jinja has it: transformers 5.24 gives an object of its own, whose methods nobody would pay for.
    ours.globals = {k: v for k, v in theirs.globals.items() if k != "lipsum"} | {"dict": dict, "strftime_now": _today}
    return ours


def compile(text: str) -> Callable[..., str]:
    """A function from the variables of a chat template to its text, of which the first MOST_CHARACTERS are made. It raises Exceeds,
    and whatever else goes wrong in a template; compiling raises jinja2.TemplateSyntaxError."""
    if len(text) > MOST_TEMPLATE:
        raise Exceeds(f"the chat template has more than {MOST_TEMPLATE:,} characters")
    METER.start()
    environment = _environment()
    code = environment.compile(_Counting().visit(environment.parse(text)))
    template = Template.from_code(environment, code, environment.make_globals(None))

    def render(**variables: Any) -> str:
        METER.start(*variables.values())
        made: list[str] = []
        left = MOST_CHARACTERS
        for part in template.generate(**variables):
            made.append(part[:left])
            left -= len(part)
            if left <= 0:
                break
        return "".join(made)

    return render
