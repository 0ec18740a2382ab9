"""An invented set of tables, facts and documents of the shape that the report takes, some of it hostile."""

from __future__ import annotations

import random
from typing import Any

from curator import languages

HOSTILE = (
    "<script>window.pwned = 1; alert(1)</script>",
    "</style><style>body { display: none }</style>",
    "</script><script>window.pwned = 2</script>",
    "<img src=x onerror=\"window.pwned = 3\"> <svg onload='window.pwned = 4'>",
    "]]> <!-- --> <![CDATA[ x",
    "line\u2028separator\u2029paragraph",
    "a\x00b",
    "right\u202eot tfel",
    "${window.pwned = 5} {{ 7 * 7 }} {% raw %} javascript:alert(1)",
    'quote" onclick="window.pwned = 6',
    "back\\slash \\u003cscript\\u003e &lt;b&gt; &amp;",
)
HOSTILE_NAME = "<script>window.pwned = 7</script>|`x`\n[y](javascript:z) @octocat \u202eabc"
CATEGORIES = {"Code / Programming / Software Engineering / Devops": 0.56, "Tool use": 0.12, "Multilingual": 0.1, "Finance": 0.08, "Medical": 0.08, "Math": 0.06}
TOKENS, SAMPLES, SIZE = 4_833_280, 590, 8192


def example(*, hostile: bool = True, documents: int = 60) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """coverage, facts, shown."""
    sources = [*(f"source_{n:02}" for n in range(48)), *([HOSTILE_NAME] if hostile else [])]
    shown = [document(n, sources[n % len(sources)]) for n in range(documents)]
    if hostile:
        shown += [document(documents + n, HOSTILE_NAME, text=text) for n, text in enumerate(HOSTILE)]
    return coverage(sources, shown), facts(HOSTILE_NAME if hostile else "calibrate_software_engineer.yaml"), shown


def document(number: int, source: str, *, text: str | None = None) -> dict[str, Any]:
    question, answer = f"Question {number}: what is {number} + 1?\n", text or f"It is {number + 1}. 😀 שלום\n```python\nprint({number + 1})\n```\n" * 3
    call = '{"name": "add"}'
    turns = [
        ("user", "plain", question),
        ("assistant", "reasoning", "Let me add.\n"),
        ("assistant", "code" if text is None else "plain", answer),
        ("assistant", "tool_call", call),
    ]
    whole = "".join(part for _, _, part in turns)
    category = list(CATEGORIES)[number % len(CATEGORIES)]
    return {
        "sample": number,
        "start": 0,
        "tokens": 40 + number,
        "cut": 25 if number % 3 == 0 else 0,
        "source": source,
        "category": category,
        "language": "he" if category == "Multilingual" else "python",
        "language_detected": "python" if number % 2 else None,
        "license": "MIT",
        "origin": {"dataset": f"org/{source}", "revision": "a" * 40, "split": "train", "row": str(number)},
        "text": whole,
        "turns": [{"role": role, "kind": kind, "chars": len(part), "tokens": 10} for role, kind, part in turns],
        "pieces": [*(["<s>"] if number % 2 == 0 else []), *(whole[i : i + 4] for i in range(0, len(whole), 4)), *(["</s>"] if number % 2 == 0 else [])],
    }


def counted(name: str, tokens: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "samples": max(1, tokens // SIZE), "documents": max(1, tokens // 900), "tokens": tokens, "share": tokens / TOKENS, **more}


def coverage(sources: list[str], shown: list[dict[str, Any]]) -> dict[str, Any]:
    chance = random.Random("report")
    programming = [
        counted(i, chance.randint(16_000, 90_000), required=4096, ok=True, detected_tokens=chance.choice([None, 12_000]))
        for i in languages.ids(languages.of_kind("programming"))
    ]
    natural = [counted(i, chance.randint(9_000, 60_000), required=8192, ok=True, detected_tokens=9_000) for i in languages.ids(languages.of_kind("natural"))]
    natural[-1] |= {"tokens": 5_000, "ok": False}
    even = [TOKENS // len(sources)] * len(sources)
    gates = [{"name": f"category: {c} (samples)", "required": 30, "got": 40, "ok": True} for c in CATEGORIES]
    gates += [{"name": f"natural_languages: {row['name']} (tokens)", "required": 8192, "got": row["tokens"], "ok": row["ok"]} for row in natural]
    return {
        "by_category": [counted(c, int(TOKENS * s), planned_samples=int(SAMPLES * s), planned_share=s * 1.02) for c, s in CATEGORIES.items()],
        "by_source": [counted(s, n) for s, n in zip(sources, even, strict=True)],
        "programming_languages": programming,
        "natural_languages": natural,
        "by_license": [counted("MIT", TOKENS // 2), counted("not stated", TOKENS // 2)],
        "by_role": [counted(r, TOKENS // 4) for r in ("user", "assistant", "text", "template")],
        "by_kind": [counted(k, TOKENS // 4) for k in ("plain", "code", "reasoning", "tool_call")],
        "owed": [
            {"source": s, "category": "Tool use", "owed": 2 + n, "samples": 2 + n - (n % 7 == 3), "tokens": SIZE * (2 + n)} for n, s in enumerate(sources)
        ],
        "lengths": [{"name": "0–127", "documents": 900}, {"name": "128–255", "documents": 700}, {"name": "16,384 and more", "documents": 12}],
        "length_quantiles": [{"name": "median", "tokens": 420}, {"name": "99 %", "tokens": 9000}],
        "cut": [{"source": s, "documents": 90, "tokens": SIZE, "documents_cut": 12, "tokens_cut": 4000} for s in sources],
        "rows": [
            {
                "source": s,
                "dataset": f"org/{s}",
                "revision": "a" * 40,
                "license": "MIT",
                "evaluation": n == 2,
                "rows_read": 900,
                "documents_made": 880,
                "documents": 90,
                "dropped": 20,
            }
            for n, s in enumerate(sources)
        ],
        "dropped": [{"source": s, "reason": "too short", "rows": 20} for s in sources],
        "repairs": [{"source": sources[0], "repair": "system joined to user", "documents": 4}],
        "languages_detected": [{"kind": "natural", "claimed": "he", "detected": "he", "documents": 12, "tokens": 9000}],
        "disagreements": [
            {
                "sample": d["sample"],
                "start": 0,
                "source": d["source"],
                "kind": "programming",
                "claimed": d["language"],
                "detected": "ruby",
                "tokens": d["tokens"],
            }
            for d in shown[:8]
        ],
        "duplicates": [
            {
                "kind": "near",
                "similarity": 0.93,
                "sample": 1,
                "start": 0,
                "other_sample": 2,
                "other_start": 0,
                "source": sources[0],
                "other_source": sources[1],
                "tokens": 70,
            }
        ],
        "vocabulary": [{"size": 200_064, "occurring": 131_000, "share": 0.6548, "special": 54, "special_occurring": 9}],
        "special_tokens": [
            {"id": 1, "token": "<s>", "occurrences": 4000},
            {"id": 2, "token": "</s>", "occurrences": 4000},
            {"id": 3, "token": "<never>", "occurrences": 0},
        ],
        "evaluation": [{"source": sources[2], "dataset": "org/bench", "documents": 90, "samples": 2, "tokens": 2 * SIZE, "share": 0.0034}],
        "overlap": [{"benchmark": "bench", "item": HOSTILE[0], "ngrams": 40, "matched": 39, "share": 0.975, "sample": 3, "start": 0, "source": sources[3]}],
        "overlap_benchmarks": [{"benchmark": "bench", "items": 164, "items_overlapping": 1, "documents_overlapping": 1, "ngram": 13}],
        "code_blocks": [{"name": "python", "samples": 1, "documents": 1, "tokens": 9, "share": 0.01}],
        "named_languages": [{"name": "he", "kind": "natural", "documents_naming": 7, "tokens": 0, "real": False}],
        "gates": gates,
        "totals": [{"samples": SAMPLES, "documents": 4100, "tokens": TOKENS}],
    }


def facts(name: str) -> dict[str, Any]:
    return {
        "mix": {"name": name, "sha256": "0" * 64, "text": ""},
        "fingerprint": "a7ac6928be9417b11f54ae6513f85837687620003a0b8a868c831d1ef6af559a",
        "tokenizer": {"id": "MiniMaxAI/MiniMax-M2.1", "revision": "b" * 40},
        "samples": SAMPLES,
        "max_seq_length": SIZE,
        "tokens": TOKENS,
        "documents": 4100,
        "documents_cut": 560,
        "tokens_cut": 90_000,
        "sources": [{"source": name, "dataset": f"org/{name}", "revision": "c" * 40, "license": None, "samples": 4}],
        "notes": [f"a note about {name}"],
        "replaced": [],
    }


def comparison() -> dict[str, Any]:
    """Two sets that differ in everything that a comparison shows."""
    compared = {"a_tokens": 100, "b_tokens": 140, "a_share": 0.1, "b_share": 0.14}
    moved = [{"source": HOSTILE_NAME, "language": "he", "tokens": 40, "text_sha256": "d" * 64, "head": text} for text in HOSTILE]
    return {
        "a": "before",
        "b": HOSTILE_NAME,
        "same": False,
        "plan": [{"field": "seed", "a": 1, "b": 2}],
        "sources": [{"source": HOSTILE_NAME, "a_revision": "a" * 40, "b_revision": None, **compared}],
        "categories": [{"name": name, **compared} for name in CATEGORIES],
        "programming_languages": [{"name": "python", **compared}],
        "natural_languages": [{"name": "he", **compared}],
        "gates": [{"name": "natural_languages: he (tokens)", "a": False, "b": True}],
        "documents": {"shared": 400, "only_a": 3, "only_b": 11},
        "gained": moved,
        "lost": moved[:3],
        "mix_diff": ["--- a\n", "+++ b\n", "@@ -1 +1 @@\n", "-seed: 1\n", "+seed: <script>window.pwned = 8</script>\n"],
    }
