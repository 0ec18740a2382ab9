"""Chat templates within bounds: what transformers renders to the byte, and no end to nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curator import chat_template, tokens
from curator.chat_template import Exceeds
from curator.data import Conversation, Document, Drop, Message, Origin
from curator.errors import SourceError
from tests.chat_templates import CHATML, TEMPLATES
from tests.conftest import small_tokenizer

MARKS = {"bos_token": "<s>", "eos_token": "</s>"}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "f", "description": 'does "é" <b>', "parameters": {"type": "object", "properties": {"x": {"type": "integer", "enum": [1, 2]}}}},
    }
]
ASK, SAY = {"role": "user", "content": " what is it?\n"}, {"role": "assistant", "content": "<think>\nso\n</think>\n\na river & <b>'s</b> \U0001f600"}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": "f", "arguments": {"x": 1, "y": ["a", None]}}}],
}
ANSWER = {"role": "tool", "content": "42", "tool_call_id": "call00001", "name": "f"}
TALKS: list[list[dict[str, Any]]] = [
    [ASK, SAY],
    [{"role": "system", "content": "be kind"}, ASK, SAY, ASK, {**SAY, "reasoning_content": "hm"}],
    [ASK, CALL, ANSWER, {"role": "assistant", "content": "done"}],
    [ASK, ASK],
    [SAY],
    [{"role": "narrator", "content": "once"}],
    [{"role": "user", "content": [{"type": "text", "text": "part"}]}, SAY],
    [ASK, SAY] * 150,
]


def outcome(render: Any) -> tuple[str, str]:
    try:
        return "text", render()
    except Exception as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("tools", [None, TOOLS], ids=["plain", "tools"])
def test_what_is_rendered_is_what_transformers_renders(name: str, tools: Any) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    ours, texts = chat_template.compile(TEMPLATES[name]), 0
    for talk in TALKS:
        expected = outcome(lambda t=talk: render_jinja_template(conversations=[t], tools=tools, chat_template=TEMPLATES[name], **MARKS)[0][0])
        got = outcome(lambda t=talk: ours(messages=t, tools=tools, documents=None, add_generation_prompt=False, **MARKS))
        assert got == expected, talk[:3]
        texts += got[0] == "text"
    assert texts >= 2


@pytest.mark.mirror
def test_what_a_real_tokenizer_renders(mirror: Path) -> None:
    models = [f.parent for f in sorted(mirror.glob("models/*/*/tokenizer.json"))]
    if not models:
        pytest.skip("no tokenizer there")
    for folder in models:
        encoder = tokens.load(str(folder))
        for talk in TALKS:
            for tools in ([], TOOLS):
                expected = outcome(lambda t=talk, w=tools, e=encoder: e.tokenizer.apply_chat_template(t, tools=w or None, tokenize=False))
                got = outcome(lambda t=talk, w=tools, e=encoder: e._apply(t, w))
                assert got == expected or "text" not in (got[0], expected[0]), (folder, talk[:3])


BIG = "{% set x = 'x' * 3999999 %}"
GROWS = "{% set ns = namespace(a=['x'], b=['x']) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(10**5) %}{% for b in range(10**5) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ range(99999)|select('none')|list|length }}{% endfor %}",
        "{% for a in [0] recursive %}{{ loop([0, 0]) }}{% endfor %}",
        "{% set ns = namespace(a='aaaa') %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
        "{% set ns = namespace(a='aaaa') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
        "{% set ns = namespace(a=[1]) %}{% for i in range(99) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
        "{% set ns = namespace(a=[]) %}{% for i in range(99999) %}{% set ns.a = ns.a + ['x'] %}{% endfor %}",
        "{% set ns = namespace(a=3) %}{% for i in range(99) %}{% set ns.a = ns.a * ns.a %}{% endfor %}",
        GROWS,
        "{% set ns = namespace(a=1) %}{% for i in range(60) %}{% set ns.a = dict(a=ns.a, b=ns.a) %}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.a = [ns] %}",
        "{{ 'a' * 10**10 }}",
        "{{ 10**10 * 'a' }}",
        "{{ [1] * 10000000000 }}",
        "{{ 10**(10**10) }}",
        "{% macro f(n) %}{{ g(n) }}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(9) }}",
        "{% macro f(n) %}{% if n < 35 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}",
        "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
        "{{ 'a'|center(10**10) }}",
        "{{ 'a'|center(10000000000) }}",
        "{{ 'a'.center(10000000000) }}",
        "{{ 'a'.ljust(10**10) }}",
        "{{ 'a'.zfill(10**10) }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ '%9999999999d'|format(1) }}",
        "{{ '%*d' % (10**9, 1) }}",
        "{{ '%5.999999999f' % 1 }}",
        "{{ '%(a(b))999999999d' % {'a(b)': 1} }}",
        "{{ '{0:5.999999999f}'.format(1) }}",
        "{{ ('%99999d' * 999) % 1 }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ '{:{}}'.format(1, 99999) }}",
        "{{ 'a\nb'|indent(10**9) }}",
        "{{ messages|tojson(indent=10**9) }}",
        "{{ 1.5|round(10**9, 'ceil') }}",
        "{{ [1]|batch(10**9, 'x')|list }}",
        "{{ [1]|slice(10**9)|list }}",
        "{% set a = 'a' * 9999 %}{{ a.replace('a', a) }}",
        "{% set a = 'a' * 9999 %}{{ a|replace('', a) }}",
        "{% set a = 'a' * 9999 %}{{ a|join(a) }}",
        "{% set a = 'a' * 9999 %}{{ a.join(a) }}",
        "{% set a = 'a' * 9999 %}{{ a|map('upper')|join(a) }}",
        "{% set a = '\t' * 9999 %}{{ a.expandtabs(9999) }}",
        BIG + "{{ x ~ x ~ x ~ x }}",
        BIG + "{{ x.strip(x) }}",
        BIG + "{{ '%s%s%s' % (x, x, x) }}",
        BIG + "{% for a in range(99999) %}{% if 'y' in x %}{% endif %}{% endfor %}",
        BIG + "{% for a in range(99999) %}{% set y = x[1:] %}{% endfor %}",
        BIG + "{% for a in range(99999) %}{{ x|upper|length }}{% endfor %}",
        BIG + "{% for a in range(99999) %}{% if x is lower %}{% endif %}{% endfor %}",
        "{% set x %}{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}{% endset %}",
        "{% macro f() %}{% for b in range(9999) %}{{ messages }}{% for c in range(99) %}{{ messages }}{% endfor %}{% endfor %}{% endmacro %}{{ f() }}",
        "{{ (1).to_bytes(10**9, 'big') }}",
        "{{ 'a'.translate({97: 'aaaa'}) }}",
        "{{ 'a'.encode('utf-16') }}",
        "{{ dict.fromkeys(range(9)) }}",
    ],
)
def test_what_has_no_end_is_refused(text: str) -> None:
    with pytest.raises(Exceeds, match=r"chat template|deep"):
        chat_template.compile(text)(messages=[ASK, SAY])


@pytest.mark.parametrize(
    "text", ["{{ lipsum(n=10**6) }}", "{{ 'x'|urlize }}", "{{ 'x'|wordwrap(1, wrapstring='y') }}", "{% include 'x' %}", "{{ ''.__class__.__mro__[1] }}"]
)
def test_what_no_chat_template_needs_is_not_there(text: str) -> None:
    with pytest.raises(Exception, match=r"lipsum|No filter|no loader|unsafe"):
        chat_template.compile(text)(messages=[ASK])


def test_more_than_a_document_may_have_is_not_made() -> None:
    assert (
        len(chat_template.compile("{% for a in range(9999) %}{% for b in range(99) %}{{ 'x' * 9999 }}{% endfor %}{% endfor %}")(messages=[]))
        == chat_template.MOST_CHARACTERS
    )


def test_a_large_conversation_is_not_held_against_a_template() -> None:
    talk = [{"role": "user", "content": "x" * 6_000_000}, {"role": "assistant", "content": "y" * 1_000_000}]
    for name in ("chatml", "llama", "mistral", "deepseek", "minimax"):
        text = chat_template.compile(TEMPLATES[name])(messages=talk, tools=None, documents=None, add_generation_prompt=False, **MARKS)
        assert len(text) == chat_template.MOST_CHARACTERS, name
    many = [ASK, {"role": "assistant", "content": "short"}] * 3000
    assert chat_template.compile(CHATML)(messages=many, tools=None, add_generation_prompt=False).count("short") == 3000


def test_every_day_is_the_same() -> None:
    assert chat_template.compile("{{ strftime_now('%d %b %Y') }}")(messages=[]) == "26 Jul 2024"


def with_template(folder: Path, template: str) -> Path:
    settings = small_tokenizer(folder) / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": template}), encoding="utf-8")
    return folder


def test_a_template_that_never_ends_is_told_before_any_row(tmp_path: Path) -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(SourceError, match="runs on after 3,000,000 steps, for two short turns; mend its chat_template"):
        tokens.load(str(with_template(tmp_path, endless)))


def test_a_row_that_is_too_much_is_dropped_at_once(tmp_path: Path) -> None:
    template = "{% if 'bomb' in messages[0].content %}{{ 'a' * 10**9 }}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}"
    encoder = tokens.load(str(with_template(tmp_path, template)))
    good, bad = (Document(Conversation((Message("user", t), Message("assistant", "so"))), Origin("d", None, None, "0"), "s", "c") for t in ("hello", "bomb"))
    first, second = encoder.encode([bad, good])
    assert first == Drop("template_rejected", "the chat template makes a value of more than 4,000,000 characters")
    assert not isinstance(second, Drop)
    assert second.text == "helloso"


def test_templates_by_name_are_all_part_of_the_identity(tmp_path: Path) -> None:
    made = []
    for number, text in enumerate(("tools: {{ tools|length }}", "tools, {{ tools|length }}")):
        folder = small_tokenizer(tmp_path / str(number))
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "tool_use.jinja").write_text(text)
        (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
        made.append(tokens.load(str(folder)))
    assert made[0].identity.chat_template_sha256 != made[1].identity.chat_template_sha256
    assert made[0]._apply([ASK, {"role": "assistant", "content": "so"}], TOOLS) == "tools: 1"
    assert made[0]._apply([ASK], []) == ASK["content"]
