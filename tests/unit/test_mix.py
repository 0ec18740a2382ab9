"""The mix: what loads, and what is said about what does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from curator import build, mix
from curator.catalog import Catalog
from curator.errors import MixError, UsageError

SHARES = {
    "General chat": 24,
    "Instruction and Reasoning tuning": 14,
    "Multilingual": 36,
    "Tool use": 100,
    "Code / Programming / Software Engineering / Devops": 328,
    "Math": 12,
    "Sciences": 16,
    "Medical": 8,
    "Finance": 8,
    "Business": 16,
    "Humanities and Philosophy": 8,
    "Creative Writing, Adventure, Roleplay": 13,
    "General Knowledge and Pop Culture": 2,
    "Behavioral skills": 4,
    "Misc": 1,
}

TEN_MISTAKES = """\
calibration_set:
  max_seq_length: 8192
  num_samples: 100
  packng: fill
  datasets:
    - {source: ultrachat_2000k, num_samples: 8}
    - {source: commitpack, languages: [pyton], num_samples: 2}
    - {source: dolly_15k, num_samples: many}
    - {dataset: a/b, columns: [x], formatter: shargpt, num_samples: 1}
    - {dataset: a/b, columns: [x], formatter: prompt_answer, num_samples: 1}
    - {dataset: a/b, columns: [x], formatter: raw_text, num_samples: 1, formatter_params: {prefix: "{{ os.system('x') }}"}}
    - {dataset: a/b, source: no_robots, num_samples: 1}
    - {source: no_robots, languages: all, num_samples: 1}
    - {source: no_robots, num_sample: 1}
"""


def problems(text: str, tmp_path: Path) -> list[str]:
    file = tmp_path / "mix.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(MixError) as caught:
        build.check(file, Catalog.find())
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


def test_ten_mistakes_give_ten_messages_with_place_and_advice(tmp_path: Path) -> None:
    said = problems(TEN_MISTAKES, tmp_path)
    expected = [
        ("4:3:", "did you mean 'packing'"),
        ("6:8:", "did you mean 'ultrachat_200k'"),
        ("7:40:", "did you mean 'python'"),
        ("8:27:", "whole number or all"),
        ("9:36:", "did you mean 'sharegpt'"),
        ("10:22:", "reads 2 column(s), the entry names 1 (x)"),
        ("11:92:", "unknown name 'os'"),
        ("12:7:", "exactly one of source, dataset or path"),
        ("13:27:", "not told apart by language"),
        ("14:27:", "did you mean 'num_samples'"),
    ]
    for place, advice in expected:
        assert any(line.startswith(place) and advice in line for line in said), (place, advice, said)
    assert len(said) == len(expected) + 1, said  # the last entry also lacks num_samples


def test_a_wrong_sum_says_both_numbers(tmp_path: Path) -> None:
    text = "calibration_set:\n  max_seq_length: 64\n  num_samples: 9\n  datasets:\n    - {source: no_robots, num_samples: 2}\n"
    assert problems(text, tmp_path) == ["3:3: num_samples is 9, the entries add up to 2; change one of them"]


def test_a_gate_for_a_language_that_no_source_has_is_a_problem(tmp_path: Path) -> None:
    text = (
        "calibration_set:\n  max_seq_length: 64\n  require:\n    natural_languages: {languages: [he, fr], min_tokens: 1}\n"
        "  datasets:\n    - {source: wikipedia, languages: [fr], num_samples: 2}\n"
    )
    (line,) = problems(text, tmp_path)
    assert line.startswith("4:5:")
    assert "no source of the mix has he" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("- 1\n", "one root key"),
        ("calibration_set: {a: 1\n", "not plain YAML"),
        ("calibration_set: !!python/object/apply:os.system ['id']\n", "not plain YAML"),
        ("calibration_set:\n  max_seq_length: 64\n  max_seq_length: 65\n  datasets: []\n", "stands twice"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested deeper"),
        ("calibration_set:\n  max_seq_length: 64\n  datasets: 5\n", "must be a list"),
        ("calibration_set:\n  seed: 2026-13-99\n", "a value that cannot be read"),
    ],
)
def test_broken_files_are_told_not_raised(text: str, said: str, tmp_path: Path) -> None:
    assert any(said in line for line in problems(text, tmp_path)), problems(text, tmp_path)


def test_an_alias_bomb_is_refused_quickly(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert any("alias bomb" in line for line in problems("\n".join(levels), tmp_path))


def test_a_file_that_is_not_there_and_one_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="curate mixes"):
        mix.read(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        mix.read(tmp_path / "binary.yaml")


def test_the_packaged_mix_has_the_shares_of_the_original() -> None:
    catalog = Catalog.find()
    _, sources = build.check(catalog.mix_file("calibrate_software_engineer.yaml"), catalog)
    totals: dict[str, int] = {}
    for source in sources:
        totals[source.card.category] = totals.get(source.card.category, 0) + (source.samples or 0)
    assert totals == SHARES


def test_every_packaged_card_loads_and_has_a_formatter_that_fits() -> None:
    from curator import plugins

    catalog = Catalog.find()
    for name in catalog.card_files:
        card = catalog.card(name)
        least, most = plugins.load("formatters", card.formatter or "").arity
        assert least <= len(card.columns) <= most, name
        assert card.category != "Uncategorized", name
        assert card.description, name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [" + "x," * 2_000_000 + "]", "more than 200000 values"),
        ("calibration_set:\n  datasets:\n" + "".join(f"  - {{a{n}: 1}}\n" for n in range(8000)), "unknown key 'a7999'"),
    ],
    ids=["values", "problems"],
)
def test_a_mix_of_a_great_many_things_is_told_quickly(text: str, said: str, tmp_path: Path) -> None:
    started = time.process_time()
    assert any(said in line for line in problems(text, tmp_path))
    assert time.process_time() - started < 10
