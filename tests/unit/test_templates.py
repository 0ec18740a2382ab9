"""Instructions: what a template can see, and what it cannot."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
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
    assert templates.compile("{{ row|string }}").columns == ()


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
        "{{ row.a[:31e999]|upper }}",
        "{{ [1e999] }}",
        "{{ row.missing }}",
        "{{ unclosed",
        "{% for i in range(10**9) %}x{% endfor %}",
    ],
)
def test_what_reaches_outside_the_row_is_an_error(source: str) -> None:
    with pytest.raises(templates.BadTemplate):
        templates.compile(source)({"x": 1})


AS = "|replace('a', '" + "a" * 200 + "')"
QUOTES = "'" + '"' * 50 + "'"
ROWS = ", ".join(["row.t"] * 1500)
SOME = " + ".join(["row.t"] * 100)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ('a'" + AS * 5 + ")|length }}",
        "{{ (row.t" + AS * 3 + ")|length }}",
        "{{ 'a'" + AS * 5 + " }}",
        "{{ ('ab'" + f"|join('{'x' * 200}')" * 4 + ")|length }}",
        f"{{{{ ({QUOTES}" + "|tojson" * 30 + ")|length }}",
        f"{{{{ ({QUOTES}" + "|list|string" * 12 + ")|length }}",
        "{{ row.t|tojson(indent=99999999) }}",
        f"{{{{ [{ROWS}]|string|length }}}}",
        f"{{{{ [{ROWS}] }}}}",
        f"{{{{ hash([{ROWS}]) }}}}",
        "{{ (" + ROWS.replace(", ", " ~ ") + ")|length }}",
        "{{ (" + " + ".join([f"({SOME})"] * 12) + ")|length }}",
        "{% set b = [row.t, row.t] %}" + "{% set b = [b, b, b, b, b, b, b, b, b, b] %}" * 12 + "{{ b|string|length }}",
    ],
)
def test_filters_one_after_the_other_do_not_fill_the_memory(source: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(templates.BadTemplate):
            templates.compile(source)({"t": "a" * 20_000})
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_large_rows_can_still_be_read_and_hashed() -> None:
    row = {"t": "long & " * 30_000}
    assert templates.compile("{{ row.t|replace('long', 'ab')|length }}")(row) == str(5 * 30_000)
    assert templates.compile("{{ row.t|length }} {{ row.t|trim|upper|length }}")(row) == "210000 209999"
    assert int(templates.compile("{{ hash(row|string) % 7 + hash(row.t ~ row.t) % 7 }}")(row)) < 14
    assert templates.compile("{{ ['a', 1]|join(', ') }} {{ [1, 'é<']|tojson }} {{ 1 + 2 }}{{ 'a' + 'b' }}")(row) == 'a, 1 [1, "\\u00e9\\u003c"] 3ab'
