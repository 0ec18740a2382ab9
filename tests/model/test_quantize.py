"""From a build and a model to a folder that loads again: the whole pipeline on tiny models of several families."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import families

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

from curator.checkpoints.reading import SINGLE  # noqa: E402
from curator.errors import QuantizeError, UsageError  # noqa: E402
from curator.quantize import checkpoint, names, recipes, run  # noqa: E402
from curator.quantize.verify import verify  # noqa: E402
from tests.model.stored import files_of, raw, tensors_of  # noqa: E402

ModelOf = Callable[..., Path]
# Largest relative difference of the logits of a token. The experts of a loaded model are fused and summed in another order.
LOADED = {"float32": 1e-4, "bfloat16": 0.03}

PUBLISHED = r"""
default_stage:
  default_modifiers:
    AWQModifier:
      config_groups:
        group_0:
          targets: ['re:.*block_sparse_moe\.experts\.\d+\.(w1|w2|w3)$']
          weights: {num_bits: 4, type: int, symmetric: true, group_size: 32, strategy: group, dynamic: false, observer: memoryless_minmax}
      mappings:
        - {smooth_layer: 're:.*post_attention_layernorm$', balance_layers: ['re:.*w1$', 're:.*w3$']}
        - {smooth_layer: 're:.*w3$', balance_layers: ['re:.*w2$']}
      duo_scaling: true
"""


def quantized(build: Path, model: Path, out: Path, **asked: Any) -> tuple[run.Prepared, dict[str, Any]]:
    prepared = run.prepare(run.Request(build, str(model), **asked))
    return prepared, run.quantize(prepared, out)


def loaded(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    return model.eval()


def logits(model: Any) -> Any:
    ids = torch.arange(48)[None] * 37 % 30000
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits[0].double()


def largest(a: Any, b: Any) -> float:
    return float(((a - b).norm(dim=-1) / a.norm(dim=-1)).max())


@pytest.mark.parametrize(
    ("family", "recipe", "dtype"),
    [(f, None, "float32") for f in families.FAMILIES]
    + [("minimax_m2", "w4a16-gptq", "float32"), ("qwen3_moe", "w4a16-gptq", "float32"), ("qwen3", "w4a16-dense-gptq", "float32")]
    + [("minimax_m2", None, "bfloat16"), ("qwen3_moe", None, "bfloat16")],
)
def test_a_quantized_model_loads_again(family: str, recipe: str | None, dtype: str, small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source, out = model_of(family, dtype=dtype), tmp_path / "Q"
    prepared, manifest = quantized(small_build, source, out, recipe=recipe)
    before, now = tensors_of(source), tensors_of(out)
    packed = set(manifest["tensors"]["quantized"])
    assert packed == {n.removesuffix(".weight") for n in before if n not in now}
    assert {n.removesuffix(".weight_packed") for n in now if n.endswith(".weight_packed")} == packed
    changed = [n for n in before if n in now and raw(before[n]) != raw(now[n])]
    assert changed == manifest["tensors"]["smoothed"]
    assert all(now[n].dtype == before[n].dtype and now[n].shape == before[n].shape for n in before if n in now)
    assert verify(out, source) == []
    assert (out / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    difference = largest(logits(prepared.model), logits(loaded(out)))
    assert difference < LOADED[dtype]
    # Four bits cannot be what sixteen were; were nothing quantized, the comparison above would say nothing.
    assert largest(logits(prepared.model), logits(loaded(source))) > 10 * difference


@pytest.mark.parametrize("scheme", ["FP8_DYNAMIC", "FP8", "FP8_BLOCK", "W8A8", "NVFP4", "NVFP4A16", "MXFP4"])
def test_a_preset_of_the_library_is_written_and_verified(scheme: str, small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    """Formats that keep a weight's name, and scales of inputs, are good too; what is wrong in them is told."""
    from safetensors.torch import load_file, save_file

    source, out, recipe = model_of("minimax_m2"), tmp_path / "Q", tmp_path / "r.yaml"
    recipe.write_text(f"QuantizationModifier: {{targets: Linear, scheme: {scheme}, ignore: [lm_head, 're:.*gate$']}}", encoding="utf-8")
    prepared, manifest = quantized(small_build, source, out, recipe=str(recipe), samples=1)
    assert len(manifest["tensors"]["quantized"]) == 32
    assert verify(out, source) == []
    tensors = load_file(out / SINGLE)
    query = "model.layers.0.self_attn.q_proj"
    kept = f"{query}.weight" in tensors
    assert kept == (scheme in ("FP8_DYNAMIC", "FP8", "FP8_BLOCK", "W8A8"))
    if kept:
        if scheme in ("FP8_DYNAMIC", "FP8"):  # transformers takes neither blocks that do not fit nor experts in int8
            assert largest(logits(prepared.model), logits(loaded(out))) < 0.2  # once experts are fused, their inputs stay in 32 bits
        tensors[f"{query}.weight"] = tensors[f"{query}.weight"].float()[:32]
        del tensors["model.layers.1.self_attn.q_proj.weight_scale"]
    tensors["model.layers.0.input_layernorm.input_scale"] = torch.ones(1)
    save_file(tensors, out / SINGLE, metadata={"format": "pt"})
    said = "\n".join(verify(out, source))
    assert "model.layers.0.input_layernorm.input_scale: not a tensor of the source" in said
    if kept:
        assert f"{query}.weight: F32; quantized as" in said
        assert f"{query}.weight: [32, 64], in the source [64, 64]" in said
        assert "model.layers.1.self_attn.q_proj: listed as quantized and is not" in said


def test_a_head_may_be_quantized_too(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    """Its name has no dot in it."""
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.format("Linear"), encoding="utf-8")
    _, manifest = quantized(small_build, model_of("minimax_m2"), tmp_path / "Q", recipe=str(recipe), samples=1)
    assert "lm_head" in manifest["tensors"]["quantized"]
    (group,) = json.loads((tmp_path / "Q" / "config.json").read_text())["quantization_config"]["config_groups"].values()
    assert "re:^lm_head$" in group["targets"]


@pytest.mark.parametrize("family", families.MIXTURES)
def test_targets_are_names_of_the_source(family: str, small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source = model_of(family)
    _, manifest = quantized(small_build, source, tmp_path / "Q", recipe="w4a16-gptq", samples=1)
    config = json.loads((tmp_path / "Q" / "config.json").read_text())["quantization_config"]
    owners = {n.removesuffix(".weight") for n in tensors_of(source) if n.endswith(".weight")}
    (group,) = config["config_groups"].values()
    targeted = {o for o in owners if any(re.match(t.removeprefix("re:"), o) for t in group["targets"])} - set(config["ignore"])
    experts = {o for o in owners if ".experts." in o}
    assert targeted == experts == set(manifest["tensors"]["quantized"])
    assert set(config["ignore"]) <= owners
    assert manifest["notes"] == []
    assert (config["format"], config["quantization_status"]) == ("pack-quantized", "compressed")
    if family == "minimax_m2":
        assert "model.layers.0.block_sparse_moe.experts.0.w1.weight_packed" in tensors_of(tmp_path / "Q")


def test_the_published_recipe_is_translated_and_its_router_balanced(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    recipe = tmp_path / "published.yaml"
    recipe.write_text(PUBLISHED, encoding="utf-8")
    notes: list[str] = []
    prepared = run.prepare(run.Request(small_build, str(model_of("minimax_m2")), recipe=str(recipe)), note=notes.append)
    assert any("config_groups moved from AWQModifier to QuantizationModifier" in n for n in notes)
    assert any(n.startswith("recipe published.yaml: re:.*w1$ is a name of the checkpoint; in memory: ") and "gate_proj" in n for n in notes)
    assert any("is read by model.layers.N.mlp.gate (2) as well; added" in n for n in notes)
    norm = next(s for s in prepared.smoothed if s.layer == "model.layers.1.post_attention_layernorm")
    experts = {f"model.layers.1.mlp.experts.{n}.{leaf}" for n in range(4) for leaf in ("gate_proj", "up_proj")}
    assert set(norm.balanced) == experts | {"model.layers.1.mlp.gate"}
    manifest = run.quantize(prepared, tmp_path / "Q")
    assert "model.layers.0.block_sparse_moe.gate.weight" in manifest["tensors"]["smoothed"]
    assert manifest["notes"] == notes
    assert manifest["smoothing"]["logits"]["median"] < 1e-4


def test_smoothing_that_changes_the_function_is_caught(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    recipe = tmp_path / "published.yaml"
    recipe.write_text(PUBLISHED, encoding="utf-8")
    prepared = run.prepare(run.Request(small_build, str(model_of("minimax_m2")), recipe=str(recipe)), guard=False)
    with pytest.raises(QuantizeError, match=r"model\.layers\.0 is the first to differ") as caught:
        run.quantize(prepared, tmp_path / "Q")
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == [recipe]


def test_shared_experts_are_readers_too(small_build: Path, model_of: ModelOf) -> None:
    notes: list[str] = []
    prepared = run.prepare(run.Request(small_build, str(model_of("deepseek_v3"))), note=notes.append)
    (norm,) = (s for s in prepared.smoothed if s.layer.endswith("post_attention_layernorm"))  # the first layer is dense, and nothing is quantized there
    assert {"model.layers.1.mlp.gate", "model.layers.1.mlp.shared_experts.gate_proj", "model.layers.1.mlp.shared_experts.up_proj"} <= set(norm.balanced)
    assert any("shared_experts.gate_proj" in n for n in notes)


RECIPE = "Q:\n  GPTQModifier:\n    config_groups:\n      group_0:\n        targets: [{}]\n        weights: {{num_bits: 4, group_size: 32, strategy: group}}\n"


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (r"'re:.*\.layers\.0\.mlp\.experts\.\d+\..*_proj$'", r"leaves out 12 of the 24 linear layers of the experts: .*experts\.N\.up_proj \(4\).*it matched"),
        (r"'re:.*\.experts\.0\.w1$'", r"leaves out 22 of the 24"),
        (r"'re:.*\.nothing$'", r"no module matches re:\.\*\\\.nothing\$; this model has model\.layers\.N\.self_attn\.q_proj \(2\)"),
    ],
)
def test_a_recipe_that_misses_experts_is_refused(targets: str, said: str, small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.format(targets), encoding="utf-8")
    with pytest.raises(QuantizeError, match=said):
        run.prepare(run.Request(small_build, str(model_of("minimax_m2")), recipe=str(recipe)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AWQModifier: {nonsense: 1}", "nonsense"),
        ("NoSuchModifier: {}", "NoSuchModifier.*; known: AWQModifier, QuantizationModifier"),
        ("a: [", "recipe r: not plain YAML"),
        ("a: 2024-13-45", "recipe r: a value that cannot be read: month must be"),
        (f"a: {'9' * 5000}", "recipe r: a value that cannot be read"),
        ("[" * 100_000, "recipe r: nested deeper than 50 levels"),
        ("a: &a [*a]", "recipe r: more than .* is this an alias bomb"),
        ("a: 1", r"no modifier in it \(found a\); .* AWQModifier, QuantizationModifier"),
        ("QuantizationModifer: {scheme: W4A16}", "QuantizationModifer: no modifier is called so, QuantizationModifier may be meant; known: AWQModifier"),
        ("s: {m: {SmoothQuantModifer: {}, GPTQModifier: {targets: Linear}}}", "SmoothQuantModifer: no modifier is called so"),
        ("GPTQModifier: {targets: ['re:.*([']}", r"recipe r: re:\.\*\(\[: not a regular expression: unterminated"),
        ("AWQModifier: {mappings: [['re:(', ['re:*x']]]}", r"re:\(: not a regular[^\n]*\nrecipe r: re:\*x: not a regular"),
        ("", r"no modifier in it \(it is empty\)"),
        ("[a]", r"no modifier in it \(it is a list \(\['a'\]\)\)"),
        ("QuantizationModifier: [W4A16]", r"QuantizationModifier: its settings are a list \(\['W4A16'\]\); a table is wanted"),
        ("QuantizationModifier: {targets: null}", "QuantizationModifier: targets: it is empty; a name or a list of names is wanted"),
        ("QuantizationModifier: {targets: 7, ignore: [null]}", r"targets: it is int \(7\); .*\n.*ignore: it is a list \(\[None\]\)"),
        (
            "GPTQModifier: {config_groups: {g: null, h: {targets: null}}}",
            r"config_groups\.g: it is empty; a table .*\n.*config_groups\.h\.targets: it is empty",
        ),
        ("GPTQModifier: {config_groups: [1]}", r"config_groups: it is a list \(\[1\]\); a table of groups"),
        ("GPTQModifier: {scheme: {W4A16: null}}", r"scheme\.W4A16: it is empty; a name"),
        ("AWQModifier: {mappings: 3}", r"mappings: it is int \(3\); a list"),
        (
            "AWQModifier: {mappings: [{smooth_layer: 3, balance_layers: x}, [a, null]]}",
            r"mappings\.0: .* is not a mapping.*\n.*mappings\.1\.balance_layers: it is empty",
        ),
        ("SmoothQuantModifier: {mappings: [[['re:.*q_proj'], 're:.*norm']]}", "SmoothQuantModifier: changes more than is quantized"),
        ("AutoRoundModifier: {targets: Linear, scheme: W4A16}", "AutoRoundModifier: changes more than is quantized"),
        ("QuantizationModifier: {targets: Linear, scheme: FP8, kv_cache_scheme: {num_bits: 8}}", "kv_cache_scheme: curate writes weights"),
        ("QuantizationModifier: {scheme: W4A61, targets: Linear}", "scheme: 'W4A61' is neither a preset .*; presets: .*W4A16"),
        ("QuantizationModifier: {scheme: {W4A61: [Linear]}}", "scheme: {'W4A61': .*'Linear'.*} is neither a preset .*; presets: .*W4A16"),
    ],
)
def test_a_bad_recipe_is_the_users_to_mend(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        recipes.modifiers(recipes.parse(text, name="r"))


def test_a_recipe_that_cannot_be_read_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a: \xe9")
    for name, said in (
        ("latin", "not UTF-8"),
        (".", "cannot be read: Is a directory"),
        ("none", "cannot be read: No such file or directory; name a file, or one of w4a16-awq"),
    ):
        with pytest.raises(UsageError, match=said):
            recipes.load(str(tmp_path / name))


def test_groups_that_do_not_fit_are_refused_before_anything_runs(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.format(r"'re:.*\.experts\.\d+\..*_proj$'").replace("32", "24"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"does not fit 12 of 12 modules: model\.layers\.N\.mlp\.experts\.N\.\S+ \(4\).*rows of \d+ are not a multiple of 24"):
        run.prepare(run.Request(small_build, str(model_of("deepseek_v3")), recipe=str(recipe)))


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize(
    ("strategy", "size", "fault"),
    [("group", 24, "1 of 2 modules: 0: rows of 64 are"), ("group", 128, "2 of 2 modules: 0: rows of 64 are"), ("group", 16, ""), ("channel", None, "")],
)
def test_groups_have_to_divide_a_row_whatever_the_recipe_says_of_it(strategy: str, size: int | None, fault: str, bypass: bool) -> None:
    """With ``bypass_divisibility_checks``, and for rows shorter than a group, the observers fail in the middle of a calibration."""
    weights = {"num_bits": 4, "strategy": strategy, "group_size": size}
    settings = {"config_groups": {"g": {"targets": ["Linear"], "weights": weights}}, "bypass_divisibility_checks": bypass}
    recipe = recipes.Recipe("r", "", (("QuantizationModifier", settings),))
    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Linear(48, 8))
    if fault:
        with pytest.raises(UsageError, match=f"does not fit {fault} not a multiple of {size}"):
            recipes.select(recipe, model, recipes.modifiers(recipe))
    else:
        assert set(recipes.select(recipe, model, recipes.modifiers(recipe)).modules) == {"0", "1"}


@pytest.mark.parametrize(
    ("whole", "of_weights", "fault"),
    [
        ("group", None, "'group' is no order of GPTQ"),
        ("bogus", None, "'bogus' is no order"),
        (None, "dynamic", "actorder='dynamic' has been removed"),
        ("weight", "static", "are provided and differ"),
        ("weight", None, ""),
        (None, "static", ""),
    ],
)
def test_an_order_that_gptq_refuses_at_the_first_layer_is_refused_before(whole: str | None, of_weights: str | None, fault: str) -> None:
    weights = {"num_bits": 4, "strategy": "group", "group_size": 32} | ({"actorder": of_weights} if of_weights else {})
    settings = {"config_groups": {"g": {"targets": ["Linear"], "weights": weights}}} | ({"actorder": whole} if whole else {})
    recipe = recipes.Recipe("r", "", (("GPTQModifier", settings),))
    if fault:
        with pytest.raises(UsageError, match=f"recipe r: GPTQModifier: .*{fault}"):
            recipes.modifiers(recipe)
    else:
        assert len(recipes.modifiers(recipe)) == 1


def test_a_mapping_of_what_does_not_read_is_refused(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(PUBLISHED.replace("'re:.*w1$', 're:.*w3$'", "'re:.*w1$', 're:.*w2$'"), encoding="utf-8")
    with pytest.raises(QuantizeError, match=r"down_proj .* does not read it"):
        run.prepare(run.Request(small_build, str(model_of("minimax_m2")), recipe=str(recipe)))


def test_mappings_of_the_family_that_meet_nothing_quantized_are_left_out(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    """llm-compressor's own mappings, where a recipe states none, are of attention too; and two stages are one recipe."""
    recipe = tmp_path / "r.yaml"
    weights = "{num_bits: 4, strategy: group, group_size: 32}"
    group = f"config_groups: {{g: {{targets: ['re:.*block_sparse_moe.experts'], weights: {weights}}}}}"
    recipe.write_text(f"a:\n  AWQModifier: {{}}\nb:\n  m:\n    GPTQModifier: {{{group}}}", encoding="utf-8")
    prepared = run.prepare(run.Request(small_build, str(model_of("minimax_m2")), recipe=str(recipe)))
    assert {s.layer.split(".", 3)[3] for s in prepared.smoothed} >= {"post_attention_layernorm"}
    assert not any("attn" in name for s in prepared.smoothed for name in (s.layer, *s.balanced))


def test_the_same_run_gives_the_same_bytes_over_shards(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source = model_of("qwen3_moe", shard="2MB")
    assert len(files_of(source)) > 2
    for name in "AB":
        quantized(small_build, source, tmp_path / name)
    assert files_of(tmp_path / "A") == files_of(source)
    files = sorted(p.name for p in (tmp_path / "A").iterdir())
    assert files == sorted(p.name for p in (tmp_path / "B").iterdir())
    assert [n for n in files if (tmp_path / "A" / n).read_bytes() != (tmp_path / "B" / n).read_bytes()] == []


def test_a_bias_of_the_router_keeps_its_type(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    source = tmp_path / "M"
    shutil.copytree(model_of("minimax_m2", dtype="bfloat16"), source)
    tensors = load_file(source / SINGLE)
    names = [n for n in tensors if n.endswith("e_score_correction_bias")]
    for name in names:
        tensors[name] = torch.rand(tensors[name].shape, dtype=torch.float32)
    save_file(tensors, source / SINGLE, metadata={"format": "pt"})
    quantized(small_build, source, tmp_path / "Q")
    now, before = tensors_of(tmp_path / "Q"), tensors_of(source)
    assert len(names) == 2
    assert all(now[n].dtype == "F32" and raw(now[n]) == raw(before[n]) for n in names)


def test_a_failure_halfway_leaves_nothing(small_build: Path, model_of: ModelOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("the disk is on fire")

    prepared = run.prepare(run.Request(small_build, str(model_of("mixtral")), recipe="w4a16-gptq", samples=1))
    monkeypatch.setattr(checkpoint, "quantization_config", fail)
    with pytest.raises(OSError, match="on fire"):
        run.quantize(prepared, tmp_path / "Q")
    assert list(tmp_path.iterdir()) == []


def test_an_observer_is_there_while_calibrating_and_not_after(small_build: Path, model_of: ModelOf) -> None:
    happened: list[Any] = []

    class Watching:
        @contextlib.contextmanager
        def attach(self, model: Any, batches: Sequence[Any]) -> Iterator[None]:
            happened.append([b.sample for b in batches])
            lengths: set[int] = set()
            handle = model.model.embed_tokens.register_forward_pre_hook(lambda _, given: lengths.add(given[0].shape[1]))
            yield
            handle.remove()
            happened.append(lengths)

    prepared = run.prepare(run.Request(small_build, str(model_of("mixtral"))))
    run.calibrate(prepared, observers=[Watching()])
    assert happened == [list(prepared.samples.calibration), {families.LENGTH}]
    assert set(prepared.samples.held_out).isdisjoint(prepared.samples.calibration)


def test_another_tokenizer_is_refused_unless_accepted(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source = tmp_path / "M"
    shutil.copytree(model_of("qwen3"), source)
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["added_tokens"][0]["lstrip"] = not tokenizer["added_tokens"][0]["lstrip"]
    (source / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(UsageError, match="the model's is another one"):
        run.prepare(run.Request(small_build, str(source)))
    prepared = run.prepare(run.Request(small_build, str(source), other_tokenizer=True))
    assert any("another tokenizer" in n for n in prepared.notes.lines)


def test_a_wrong_pairing_of_names_is_noticed(small_build: Path, model_of: ModelOf, monkeypatch: pytest.MonkeyPatch) -> None:
    def crossed(model: Any, stored: Any) -> names.Naming:
        swap = {"w1": "w3", "w3": "w1"}
        found = names.naming(model, stored)
        return names.Naming(found.in_memory, {m: re.sub(r"\b(w1|w3)$", lambda leaf: swap[leaf[0]], s) for m, s in found.in_source.items()})

    monkeypatch.setattr(run, "naming", crossed)
    with pytest.raises(QuantizeError, match=r"does not hold what the checkpoint calls .*\.w[13]\.weight"):
        run.prepare(run.Request(small_build, str(model_of("minimax_m2"))))


def test_a_model_that_is_quantized_already_is_refused(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source = tmp_path / "M"
    shutil.copytree(model_of("qwen3"), source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(QuantizeError, match=r"quantized already \(fp8\)"):
        run.prepare(run.Request(small_build, str(source)))


def test_routed_and_all_experts_differ(small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source = model_of("minimax_m2")
    for how in ("all", "routed"):
        quantized(small_build, source, tmp_path / how, recipe="w4a16-gptq", experts=how)
    one, other = (tensors_of(tmp_path / how) for how in ("all", "routed"))
    assert [n for n in one if n.endswith("weight_packed") and raw(one[n]) != raw(other[n])]
