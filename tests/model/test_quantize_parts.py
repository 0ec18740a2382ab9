"""The parts of quantizing by themselves: who reads what, what a folder may not have been tampered with, what the libraries need."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

from curator.checkpoints import writing  # noqa: E402
from curator.checkpoints.reading import SINGLE, WIDTHS, Reader, open_checkpoint  # noqa: E402
from curator.errors import QuantizeError, UsageError  # noqa: E402
from curator.quantize import library, names, oneshot, readers, run, smoothing  # noqa: E402
from curator.quantize.data import EXPERT_COUNTS  # noqa: E402
from curator.quantize.verify import verify  # noqa: E402
from tests.model.stored import raw, tensors_of  # noqa: E402

ModelOf = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]


class Block(torch.nn.Module):
    """A norm that is read by a router, an expert and, in passing, by things that cannot be balanced."""

    def __init__(self, use: str) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(8, bias=False)
        self.router = torch.nn.Linear(8, 4, bias=False)
        self.up = torch.nn.Linear(8, 8, bias=False)
        self.down = torch.nn.Linear(8, 8, bias=False)
        self.use = use

    def forward(self, x: Any) -> Any:
        h = self.norm(x)
        picked = h.reshape(-1, 8)[torch.tensor([1, 0])].float()
        joined = torch.cat([x[:, :2].reshape(-1, 8), self.up(picked)], dim=-1)
        gate, up = joined.chunk(2, dim=-1)
        out = self.down(torch.nn.functional.silu(gate) * up) * self.router(h).mean()
        if self.use == "residual":
            return out + h[:, :2]
        if self.use == "written":
            room = torch.zeros(1, 2, 16)
            room[..., 8:] = h[:, :2]
            return out + torch.sigmoid(room)[..., 8:]
        return out


@pytest.mark.parametrize(("use", "others"), [("none", ()), ("residual", ("add in the model itself",)), ("written", ("sigmoid in the model itself",))])
def test_readers_are_found_through_views_copies_and_halves(use: str, others: tuple[str, ...]) -> None:
    block = Block(use)
    found = readers.find(block, ["norm", "up"], lambda: block(torch.randn(1, 2, 8)))
    assert sorted(found.modules["norm"]) == ["router", "up"]
    assert found.modules["up"] == ("down",)
    assert found.others["up"] == ()
    assert found.others["norm"] == others


class Halves(torch.nn.Module):
    """What one module gives beside something else; ``cut`` takes the parts apart, one for each of two readers."""

    def __init__(self, cut: Callable[[Any], tuple[Any, Any]]) -> None:
        super().__init__()
        self.up, self.mine, self.other = (torch.nn.Linear(8, 8, bias=False) for _ in range(3))
        self.cut = cut

    def forward(self, x: Any) -> Any:
        mine, other = self.cut(torch.cat([x, self.up(x)], dim=-1))
        return self.mine(mine) + self.other(other)


@pytest.mark.parametrize("whole", [True, False], ids=["as it is written", "as it is made of others"])
def test_readers_are_found_through_pieces(whole: bool) -> None:
    cuts: list[Callable[[Any], tuple[Any, Any]]] = [
        lambda t: (t.narrow(-1, 8, 8), t.narrow(-1, 0, 8)),
        lambda t: (t.narrow(2, -8, 8), t.narrow(2, -16, 8)),
        lambda t: (t[..., 8:], t[..., :8]),
        lambda t: (t[..., -8:], t[..., -16:8]),
        lambda t: t.chunk(2, dim=-1)[::-1],
        lambda t: t.split([8, 8], dim=-1)[::-1],
    ]
    for number, cut in enumerate(cuts):
        block = Halves(cut)
        with torch.inference_mode(mode=whole):  # there PyTorch does not make `narrow` and `chunk` of other operations
            found = readers.find(block, ["up"], lambda block=block: block(torch.randn(1, 2, 8)))  # type: ignore[misc]
        assert (found.modules["up"], found.others["up"]) == (("mine",), ()), number


def test_every_second_channel_is_followed_no_further() -> None:
    block = Halves(lambda t: (t[..., 1::2], t[..., :8]))
    found = readers.find(block, ["up"], lambda: block(torch.randn(1, 2, 8)))
    assert (found.modules["up"], found.others["up"]) == ((), ("slice in the model itself",))


def test_the_hooks_of_others_do_not_see_the_proof(small_build: Path, model_of: ModelOf) -> None:
    model = oneshot.load_model(model_of("qwen3"))
    batches = oneshot.calibration_batches(small_build, [0])
    seen: list[int] = []
    handle = model.model.embed_tokens.register_forward_hook(lambda *_: seen.append(1))
    proof = smoothing.Proof.take(model, batches)
    assert seen == []
    model(**batches[0].inputs())
    assert seen == [1]
    handle.remove()
    assert [d.worst for d in proof.check(model)] == [0.0, 0.0, 0.0]
    with torch.no_grad():
        model.model.layers[1].post_attention_layernorm.weight.mul_(1.5)
    with pytest.raises(run.QuantizeError, match=r"model\.layers\.1 is the first to differ"):
        proof.check(model)


def test_pinning_is_left_out_only_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmcompressor.pipelines.cache import IntermediatesCache

    original = IntermediatesCache.pin_memory
    if not torch.accelerator.is_available():
        assert library.pinning_fails()
        with library.pinning_only_where_it_works():
            assert not library.pinning_fails()
        assert IntermediatesCache.pin_memory is original

    def mended(self: Any, batch: int, names: Any = None) -> None:
        self.fetch(batch, names)

    monkeypatch.setattr(IntermediatesCache, "pin_memory", mended)
    with library.pinning_only_where_it_works():
        assert IntermediatesCache.pin_memory is mended


def test_every_module_of_transformers_can_be_listed() -> None:
    with library.listable_modules():
        for module in [m for n, m in sys.modules.items() if n.startswith("transformers.")]:
            dir(module)


def test_a_load_for_calibration_leaves_later_loads_alone(model_of: ModelOf) -> None:
    from transformers import AutoModelForCausalLM

    folder = model_of("deepseek_v3")
    before = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict()
    oneshot.load_model(folder)
    after = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict()
    assert list(before) == list(after)
    assert [n for n in before if not torch.equal(before[n], after[n])] == []


@pytest.fixture(scope="module")
def made(small_build: Path, model_of: ModelOf, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A quantized model and its source."""
    source, out = model_of("minimax_m2", dtype="bfloat16"), tmp_path_factory.mktemp("made") / "Q"
    run.quantize(run.prepare(run.Request(small_build, str(source), samples=2)), out)
    return out, source


def with_tensor(source: Path, folder: Path, name: str, dtype: str) -> Path:
    """The model with one tensor more, of any type that the format has."""
    shutil.copytree(source, folder)
    with Reader() as reader:
        kept = [writing.copied(t, reader) for t in open_checkpoint(source).tensors.values() if t.name != name]
        writing.write_shard(folder / SINGLE, [*kept, writing.given(name, dtype, [4], bytes(range(4 * WIDTHS[dtype])))])
    return folder


@pytest.mark.parametrize("dtype", ["U16", "U32", "U64", "C64", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "BOOL"])
def test_tensors_of_rare_types_are_taken_over(dtype: str, small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source = with_tensor(model_of("minimax_m2"), tmp_path / "M", "rotary.table", dtype)
    prepared = run.prepare(run.Request(small_build, str(source), recipe="w4a16-gptq", samples=1))
    run.quantize(prepared, tmp_path / "Q")
    assert raw(tensors_of(tmp_path / "Q")["rotary.table"]) == bytes(range(4 * WIDTHS[dtype]))


@pytest.mark.parametrize("dtype", ["U8", "I64", "F8_E8M0", "F8_E4M3", "F64"])
def test_a_tensor_that_is_loaded_from_a_rare_type_is_taken_over(dtype: str, small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    bias = "model.layers.1.block_sparse_moe.e_score_correction_bias"
    source = with_tensor(model_of("minimax_m2"), tmp_path / "M", bias, dtype)
    prepared = run.prepare(run.Request(small_build, str(source), recipe="w4a16-gptq", samples=1))
    run.quantize(prepared, tmp_path / "Q")
    now, before = tensors_of(tmp_path / "Q")[bias], tensors_of(source)[bias]
    assert (now.dtype, raw(now)) == (dtype, raw(before))


def without(source: Path, folder: Path, lost: str) -> Path:
    """The model with one tensor fewer."""
    shutil.copytree(source, folder)
    with Reader() as reader:
        writing.write_shard(folder / SINGLE, [writing.copied(t, reader) for t in open_checkpoint(source).tensors.values() if t.name != lost])
    return folder


OF_ONE_EXPERT = "model.layers.1.block_sparse_moe.experts.2.w1.weight"


@pytest.mark.parametrize("lost", ["model.layers.0.block_sparse_moe.gate.weight", "model.layers.1.self_attn.q_proj.weight", OF_ONE_EXPERT])
def test_a_tensor_that_is_missing_is_named_and_not_made_up(lost: str, model_of: ModelOf, tmp_path: Path) -> None:
    source = without(model_of("minimax_m2"), tmp_path / "M", lost)
    named = lost if lost == OF_ONE_EXPERT else lost.replace("block_sparse_moe", "mlp")  # as transformers calls it
    with pytest.raises(QuantizeError, match=f"{re.escape(named)}: missing"):
        oneshot.load_model(source)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "t5"}, r"model_type t5 \(T\) is no language model that continues text"),
        ({"model_type": "bert"}, "model_type bert .* is no language model"),
        ({"model_type": "llava"}, "model_type llava .* give the language model by itself"),
        (
            {"model_type": "of_my_own", "auto_map": {"AutoConfig": "own.Config"}},
            "of_my_own comes with code of its own, which curate does not run; transformers 5",
        ),
        ({"model_type": "of_tomorrow"}, "model_type of_tomorrow is unknown; transformers 5"),
        ({}, "has no model_type"),
    ],
)
def test_a_model_of_another_kind_is_refused_in_our_words(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["T"], **config}), encoding="utf-8")
    (tmp_path / "own.py").write_text("raise SystemExit(1)", encoding="utf-8")
    with pytest.raises(QuantizeError, match=said) as failure:
        oneshot.load_model(tmp_path)
    assert "trust_remote_code" not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_decoder_that_does_not_call_itself_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]}), encoding="utf-8")
    with pytest.raises(QuantizeError, match="safetensors"):
        oneshot.load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocab_size": 1000}, r"embed_tokens\.weight: \[32768, 64\] in the files, \[1000, 64\] by config\.json"),
        ({"num_local_experts": 5}, r"mlp\.gate\.weight: \[4, 64\] in the files, \[5, 64\] by config\.json"),
        ({"num_hidden_layers": 3}, r"model\.layers\.2\.self_attn\.q_proj\.weight: missing"),
        ({"num_experts_per_tok": 0}, r"config\.json: num_experts_per_tok is 0, of 4 experts"),
        ({"num_experts_per_tok": 5}, r"config\.json: num_experts_per_tok is 5, of 4 experts"),
        ({"hidden_act": "foo"}, r"cannot be loaded; look at its config\.json: KeyError: 'foo'"),
    ],
)
def test_a_config_of_another_model_is_told(change: dict[str, Any], said: str, model_of: ModelOf, tmp_path: Path) -> None:
    source = tmp_path / "M"
    shutil.copytree(model_of("minimax_m2"), source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(QuantizeError, match=said):
        oneshot.load_model(source)


@pytest.mark.parametrize("key", EXPERT_COUNTS)
def test_more_experts_for_a_token_than_there_are_is_told_whatever_they_are_called(key: str) -> None:
    with pytest.raises(QuantizeError, match=r"M/config\.json: num_experts_per_tok is 5, of 4 experts"):
        oneshot._refuse_odd_routing(Path("M"), SimpleNamespace(**{key: 4, "num_experts_per_tok": 5}))


@pytest.mark.parametrize(
    ("asked", "there", "said"),
    [
        ("nonsense", 0, "not a device; give cpu or cuda$"),
        ("cuda", 0, "there is no such device here; give cpu$"),
        ("cpu", 2, r"llm-compressor takes the cuda that it sees; hide it \(CUDA_VISIBLE_DEVICES=''\)"),
        ("cuda:1", 2, "llm-compressor takes the first one that it sees; give CUDA_VISIBLE_DEVICES=1 instead"),
        ("cuda:2", 2, "there is no such device here; give cuda$"),
        ("xpu", 2, "there is no such device here; give cuda$"),
        ("cuda", 2, None),
        ("cuda:0", 2, None),
        ("cpu", 0, None),
        (None, 2, None),
    ],
)
def test_a_device_chooses_nothing_and_is_refused_where_it_is_another(asked: str | None, there: int, said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: there)
    with pytest.raises(UsageError, match=said) if said else nullcontext():
        oneshot.refuse_other_device(asked)


@pytest.mark.parametrize("family", ["minimax_m2", "deepseek_v3"])
def test_a_layer_that_is_not_loaded_is_copied_and_not_described_as_quantized(family: str, small_build: Path, model_of: ModelOf, tmp_path: Path) -> None:
    source, notes = tmp_path / "M", []
    shutil.copytree(model_of(family), source)
    with Reader() as reader:
        tensors = list(open_checkpoint(source).tensors.values())
        further = [writing.copied(t, reader, name=t.name.replace("layers.1.", "layers.2.")) for t in tensors if "layers.1." in t.name]
        writing.write_shard(tmp_path / SINGLE, [*(writing.copied(t, reader) for t in tensors), *further])
    (tmp_path / SINGLE).replace(source / SINGLE)
    manifest = run.quantize(run.prepare(run.Request(small_build, str(source), recipe="w4a16-gptq", samples=1), note=notes.append), tmp_path / "Q")
    assert not any("layers.2." in n for n in manifest["tensors"]["quantized"])
    assert {n for n in manifest["tensors"]["copied"] if "layers.2." in n} == {t.name for t in further}
    about = json.loads((tmp_path / "Q" / "config.json").read_text())["quantization_config"]
    targets = [t for group in about["config_groups"].values() for t in group["targets"]]
    meant = [t.name.removesuffix(".weight") for t in further if ".experts." in t.name]
    assert meant
    assert [n for n in meant if any(names.matches(t, n) for t in targets)] == []
    assert any("in the files and not in the model" in note for note in notes)


def test_what_is_missing_among_numbered_tensors() -> None:
    there = [f"m.{layer}.e.{expert}.{leaf}" for layer in (0, 10) for expert in (0, 1, 2) for leaf in ("a", "b")]
    assert names.gaps([*there, "m.0.norm", "head"]) == []
    assert names.gaps([n for n in there if n not in ("m.10.e.2.a", "m.0.e.1.b")]) == ["m.0.e.1.b", "m.10.e.2.a"]


def test_a_target_is_claimed_before_the_work(small_build: Path, model_of: ModelOf, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneshot, "load_model", lambda *_, **__: pytest.fail("was loaded"))
    (tmp_path / "file").write_text("")
    code, _, err = run("quantize", small_build, "--model", model_of("minimax_m2"), "--out", tmp_path / "file" / "Q")
    assert (code, "cannot be written" in err) == (2, True), err
    with filelock.FileLock(tmp_path / ".Q.lock"):
        code, _, err = run("quantize", small_build, "--model", model_of("minimax_m2"), "--out", tmp_path / "Q", "--ledger-only")
    assert (code, "is writing there" in err) == (2, True), err


def test_a_model_that_is_put_back_is_seen_before_the_work(
    small_build: Path, model_of: ModelOf, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oneshot, "load_model", lambda *_, **__: pytest.fail("was loaded"))
    old = tmp_path / ".Q.k3x_90qa.old" / "Q"
    old.mkdir(parents=True)
    (old / "curate-quantize.json").write_text("{}")
    code, _, err = run("quantize", small_build, "--model", model_of("minimax_m2"), "--out", tmp_path / "Q")
    assert (code, "give --force to replace it" in err) == (2, True), err
    assert [p.name for p in tmp_path.iterdir() if "Q" in p.name] == ["Q"]


def four_bits(folder: Path) -> None:
    data = (folder / SINGLE).read_bytes()
    (folder / SINGLE).write_bytes(data.replace(b'"dtype":"F32"', b'"dtype":"F4" ', 1))


def link_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder.parent / "elsewhere.json")
    (folder / "tokenizer.json").symlink_to(folder.parent / "elsewhere.json")


def lose_a_tensor(folder: Path) -> None:
    mapping = dict.fromkeys([*tensors_of(folder), "model.lost.weight"], SINGLE)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapping}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (four_bits, r"model\.safetensors: not a whole safetensors file: .*type 'F4' is not known"),
        (link_tokenizer, r"tokenizer\.json: leads out of the folder; put the file itself there"),
        (lose_a_tensor, r"model\.lost\.weight is not in model\.safetensors"),
        (lambda folder: (folder / SINGLE).rename(folder / "weights.safetensors"), r"neither model\.safetensors\.index\.json nor model\.safetensors there"),
        (lambda folder: (folder / "config.json").write_text("["), r"config\.json: cannot be read"),
    ],
)
def test_a_source_that_cannot_be_written_back_is_refused_before_it_is_loaded(
    spoil: Callable[[Path], Any], said: str, small_build: Path, model_of: ModelOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "M"
    shutil.copytree(model_of("minimax_m2"), source)
    spoil(source)
    monkeypatch.setattr(oneshot, "load_model", lambda *_, **__: pytest.fail("was loaded"))
    with pytest.raises(QuantizeError, match=said):
        run.prepare(run.Request(small_build, str(source)))


def test_the_digests_of_the_manifest_are_those_of_the_files(made: tuple[Path, Path]) -> None:
    import hashlib

    noted = json.loads((made[0] / "curate-quantize.json").read_text())["files"]
    assert {n: (hashlib.sha256((made[0] / n).read_bytes()).hexdigest(), (made[0] / n).stat().st_size) for n in noted} == {
        n: (about["sha256"], about["bytes"]) for n, about in noted.items()
    }
    assert set(noted) == {p.name for p in made[0].iterdir()} - {"curate-quantize.json"}


def rewrite(out: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change tensors of the one file, and let the manifest know of it, so that only the comparison with the source can tell."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(out / SINGLE)
    change(tensors)
    save_file(tensors, out / SINGLE, metadata={"format": "pt"})
    described = json.loads((out / "curate-quantize.json").read_text())
    from curator import artifact

    described["files"] = artifact.file_table(out, marker="curate-quantize.json")
    artifact.write_json(out / "curate-quantize.json", described)


EXPERT = "model.layers.0.block_sparse_moe.experts.0.w1"
QUERY = "model.layers.0.self_attn.q_proj.weight"


def cast(tensors: dict[str, Any]) -> None:
    tensors["model.layers.1.block_sparse_moe.e_score_correction_bias"] = tensors["model.layers.1.block_sparse_moe.e_score_correction_bias"].float()


def renamed(tensors: dict[str, Any]) -> None:
    for leaf in ("weight_packed", "weight_scale", "weight_shape"):
        tensors[f"{EXPERT.removesuffix('w1')}gate_proj.{leaf}"] = tensors.pop(f"{EXPERT}.{leaf}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t[QUERY].mul_(1.5), f"{QUERY}: differs from the source, and is not listed as smoothed"),
        (lambda t: t.pop(QUERY), f"{QUERY}: missing"),
        (lambda t: t.update(extra=torch.ones(2)), "extra: not a tensor of the source"),
        (cast, "e_score_correction_bias: F32, in the source BF16"),
        (renamed, f"{EXPERT}.weight: missing"),
        (lambda t: t.update({f"{EXPERT}.weight_packed": t[f"{EXPERT}.weight_packed"][:, :4].clone()}), f"{EXPERT}.weight_packed: I32 [32, 4]"),
        (lambda t: t.update({f"{EXPERT}.weight_scale": t[f"{EXPERT}.weight_scale"][:, :1].clone()}), f"{EXPERT}.weight_scale: [32, 1]"),
        (lambda t: t[f"{EXPERT}.weight_shape"].add_(1), f"{EXPERT}.weight_shape: says [33, 65]"),
        (lambda t: t.update({QUERY: t[QUERY][:32].clone()}), f"{QUERY}: [32, 64], in the source [64, 64]"),
    ],
)
def test_verify_tells_what_is_wrong_with_a_tensor(change: Callable[[dict[str, Any]], Any], said: str, made: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "Q"
    shutil.copytree(made[0], out)
    assert verify(out, made[1]) == []
    rewrite(out, change)
    assert any(said in fault for fault in verify(out, made[1]))


def _replace(out: Path, name: str, old: str, new: str) -> None:
    text = (out / name).read_text(encoding="utf-8")
    assert old in text
    (out / name).write_text(text.replace(old, new), encoding="utf-8")


def _truncate(out: Path) -> None:
    file = out / SINGLE
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: _replace(out, "config.json", "experts", "others"), "quantized and not targeted by quantization_config"),
        (lambda out: _replace(out, "config.json", '"symmetric": true', '"symmetric": false'), "w1.weight_zero_point: missing, and the weights are asymmetric"),
        (lambda out: _replace(out, "config.json", '"hidden_size": 64', '"hidden_size": 65'), "hidden_size is 65, in the source 64"),
        (lambda out: _replace(out, "tokenizer.json", '"<', '" <'), "tokenizer.json: not that of the source"),
        (lambda out: (out / "tokenizer.json").unlink(), "tokenizer.json: missing"),
        (lambda out: (out / "stray.txt").write_text("x"), "stray.txt: not in curate-quantize.json"),
        (_truncate, "not a whole safetensors file"),
    ],
)
def test_verify_tells_what_is_wrong_with_a_file(change: Callable[[Path], Any], said: str, made: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    out = tmp_path / "Q"
    shutil.copytree(made[0], out)
    code, printed, _ = run("verify-checkpoint", out, "--source", made[1])
    assert code == 0, printed
    change(out)
    code, printed, _ = run("verify-checkpoint", out, "--source", made[1])
    assert (code, said in printed) == (1, True), printed


def test_a_source_that_cannot_be_the_source_is_refused(made: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    code, printed, err = run("verify-checkpoint", made[0], "--source", made[0])
    assert (code, printed, "itself, which proves nothing" in err) == (2, "", True), err
    shutil.copytree(made[0], tmp_path / "copy")
    code, printed, err = run("verify-checkpoint", made[0], "--source", tmp_path / "copy")
    assert (code, printed, "is itself quantized" in err) == (2, "", True), err


def _spoil_json(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    value = json.loads(file.read_text(encoding="utf-8"))
    change(value)
    file.write_text(json.dumps(value), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(quantization_config=3), "quantization_config: Input should be a valid dictionary"),
        (lambda c: c.update(quantization_config=None), "config.json: no quantization_config"),
        (lambda c: c["quantization_config"].update(config_groups=[1]), "quantization_config.config_groups: Input should be a valid dictionary"),
        (lambda c: c["quantization_config"]["config_groups"].update(group_0=7), "config_groups.group_0: Input should be a valid dictionary"),
        (lambda c: c["quantization_config"]["config_groups"]["group_0"].update(targets=["re:(["]), "group_0.targets.0: not a regular expression: unterminated"),
        (lambda c: c["quantization_config"]["config_groups"]["group_0"].update(targets=None), "group_0.targets: Input should be a valid list, it is None"),
        (
            lambda c: c["quantization_config"]["config_groups"]["group_0"]["weights"].update(num_bits="4"),
            "weights.num_bits: Input should be a valid integer, it is '4'",
        ),
        (lambda c: c["quantization_config"].update(ignore=None), "quantization_config.ignore: Input should be a valid list, it is None"),
    ],
)
def test_verify_bears_a_config_that_says_nothing_known(change: Callable[[Any], Any], said: str, made: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    out = tmp_path / "Q"
    shutil.copytree(made[0], out)
    _spoil_json(out / "config.json", change)
    code, printed, err = run("verify-checkpoint", out, "--source", made[1])
    assert (code, said in printed, "config.json: changed since it was written" in printed) == (1, True, True), (printed, err)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n", "curate-quantize.json: not JSON: "),
        ("[]", "curate-quantize.json: Input should be a valid dictionary"),
        ('{"tensors": {"smoothed": 3}, "files": {"a": {}}}', "curate-quantize.json.files.a.sha256: Field required"),
    ],
)
def test_verify_names_a_manifest_that_cannot_be_read(text: str, said: str, made: tuple[Path, Path], tmp_path: Path, run: Run) -> None:
    out = tmp_path / "Q"
    shutil.copytree(made[0], out)
    (out / "curate-quantize.json").write_text(text, encoding="utf-8")
    code, printed, err = run("verify-checkpoint", out, "--source", made[1])
    assert (code, said in printed) == (1, True), (printed, err)


def test_quantize_from_the_command_line(small_build: Path, model_of: ModelOf, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "Q"
    code, printed, err = run("quantize", small_build, "--model", model_of("qwen3"), "--out", out, "--samples", 2, "--json")
    assert code == 0, err
    result = json.loads(printed)
    assert (result["recipe"], result["build"]["samples"], result["calibrate_experts"]) == ("w4a16-dense-awq", 2, "all")
    assert "model.layers.0" in err
    card = (out / "README.md").read_text(encoding="utf-8")
    assert all(said in card for said in ("# tiny-qwen3, quantized", result["build"]["fingerprint"], "AWQModifier", "llmcompressor"))
    code, _, err = run("quantize", small_build, "--model", model_of("qwen3"), "--out", out)
    assert (code, "give --force" in err) == (2, True)


def test_a_dry_run_names_every_module_and_writes_nothing(small_build: Path, model_of: ModelOf, tmp_path: Path, run: Run) -> None:
    code, printed, err = run("quantize", small_build, "--model", model_of("minimax_m2"), "--dry-run", "--out", tmp_path / "Q")
    assert code == 0, err
    assert sum(line.startswith("model.") and "4-bit int, groups of 32" in line for line in printed.splitlines()) == 24 + 3
    assert "model.layers.1.block_sparse_moe.experts.3.w2\t4-bit int, groups of 32" in printed
    assert list(tmp_path.iterdir()) == []
    code, printed, _ = run("quantize", small_build, "--model", model_of("minimax_m2"), "--dry-run", "--json")
    plan = json.loads(printed)
    assert (len(plan["quantized"]), len(plan["smoothed"]), plan["held_out_samples"]) == (24, 2 + 8, 2)


def test_without_the_extra_the_command_says_what_to_install(small_build: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "llmcompressor" else find(name, *rest))
    code, _, err = run("quantize", small_build, "--model", "M", "--dry-run")
    assert (code, "pip install 'curate-calibration[awq]'" in err) == (6, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model", "/nowhere/model", "--dry-run"], 2, "neither a folder nor a hub id"),
        (["--model", "M"], 2, "give --out"),
        (["--model", "M", "--dry-run", "--samples", "900"], 2, "ask for 6 or fewer"),
        (["--model", "M", "--dry-run", "--recipe", "no-such"], 2, "w4a16-awq"),
    ],
)
def test_mistakes_of_the_user(arguments: list[str], code: int, said: str, small_build: Path, run: Run) -> None:
    got, _, err = run("quantize", small_build, *arguments)
    assert (got, said in err) == (code, True), err
