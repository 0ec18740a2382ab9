"""Instructions: what a template can see, and what it cannot."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from curator import templates

SIXTY = [f"language{n}" for n in range(60)]


def test_the_original_rotation_works_and_is_the_same_in_every_process() -> None:
    source = f"Use {{{{ {SIXTY!r}[hash(row|string) % 60] }}}}"
    code = f"from curator import templates; print(templates.compile({source!r})({{'prompt': 'é<T>'}}))"
    runs = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, text=True, check=True).stdout
        for seed in ("0", "1", "4711")
    }
    assert runs == {templates.compile(source)({"prompt": "é<T>"}) + "\n"}


def test_rotate_goes_through_a_list_evenly() -> None:
    instruction = templates.compile("{{ rotate(['a', 'b', 'c']) }}")
    assert Counter(instruction({"x": n}) for n in range(9)) == {"a": 3, "b": 3, "c": 3}


def test_nothing_is_escaped_and_plain_text_stays() -> None:
    assert templates.compile("{{ row.x }}")({"x": 'Vec<T> & "q"'}) == 'Vec<T> & "q"'
    assert templates.compile("100 % {plain}\n")({}) == "100 % {plain}\n"


def test_columns_that_a_template_reads_are_known_beforehand() -> None:
    instruction = templates.compile("{{ row.title }} {{ row['body'] }} {% for w in row.words %}{{ w }}{% endfor %}")
    assert instruction.columns == ("title", "words", "body")
    assert not instruction.whole
    assert templates.compile("{{ row|string }}").whole


@pytest.mark.parametrize(
    "source",
    [
        "{{ hash.__self__.__import__('os').system('id') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ row['__class__'] }}",
        "{{ row|attr('__class__') }}",
        "{{ os.system('id') }}",
        "{% import 'x' as y %}",
        "{% include '/etc/passwd' %}",
        "{{ config }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ 'x' * 10**9 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ row.missing }}",
        "{{ unclosed",
        "{% for i in range(10**9) %}x{% endfor %}",
    ],
)
def test_what_reaches_outside_the_row_is_an_error(source: str) -> None:
    with pytest.raises(templates.BadTemplate):
        templates.compile(source)({"x": 1})
