"""What a config.yaml says becomes a typed configuration, or is refused by key, value and remedy."""

from __future__ import annotations

import copy
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.make_random_checkpoint import config
from voxfleet.errors import StartError
from voxfleet.paraformer.checkpoint_config import listed_pieces, paraformer_config
from voxfleet.paraformer.config_file import MAX_CONFIG_BYTES, read_json, read_yaml
from voxfleet.paraformer.model_config import Architecture, ParaformerConfig, UpsampleConfig

PIECES = 8404
REMEDY = ": use an offline Paraformer, BiCifParaformer or SeacoParaformer checkpoint"


def read(content: dict[str, Any], pieces: int = PIECES) -> ParaformerConfig:
    return paraformer_config("config.yaml", content, pieces)


def full(architecture: str = "seaco") -> dict[str, Any]:
    return copy.deepcopy(config(architecture, "full", PIECES))


def changed(key: str, value: object) -> dict[str, Any]:
    content = full()
    *blocks, last = key.split(".")
    block = content
    for name in blocks:
        block = block[name]
    block[last] = value
    return content


@pytest.mark.speech
def test_the_published_seaco_configuration(speech_dir: Path) -> None:
    path = speech_dir / "models" / "seaco-paraformer-config" / "config.yaml"
    found = paraformer_config(str(path), read_yaml(path), PIECES)
    assert found == read(full())
    assert found.architecture is Architecture.SEACO
    assert (found.encoder.layers, found.decoder.layers, found.decoder.plain_layers) == (50, 16, 0)
    assert found.predictor.upsample == UpsampleConfig(3, 0.25, 0.01, blstm=True, after_conv=False)
    assert found.hotwords is not None
    assert (found.hotwords.no_bias_id, found.hotwords.decoder.layers) == (8377, 6)
    assert found.hotwords.decoder.plain_layers == 0


@pytest.mark.speech
@pytest.mark.parametrize("name", ["config.yaml", "asr.yaml"])
def test_published_configurations_before_framework_1(speech_dir: Path, name: str) -> None:
    path = speech_dir / "models" / "paraformer-large-config" / name
    content = read_yaml(path)
    assert read(content) == read(full("paraformer"))
    pieces = listed_pieces(str(path), content)
    assert (pieces is None) == (name == "asr.yaml")
    assert pieces is None or (len(pieces), pieces[-1]) == (PIECES, "<unk>")


@pytest.mark.speech
@pytest.mark.parametrize("name", ["config.yaml", "config_2.yaml"])
def test_published_streaming_models_are_refused(speech_dir: Path, name: str) -> None:
    content = read_yaml(speech_dir / "models" / "paraformer-online-config" / name)
    with pytest.raises(StartError, match=r"model \(.*paraformer_online.*use an offline"):
        read(content)


def test_a_decoder_has_the_layers_that_funasr_builds() -> None:
    """Those that attend as often as said, the rest of num_blocks without."""
    content = changed("decoder_conf.att_layer_num", 10)
    assert (read(content).decoder.layers, read(content).decoder.plain_layers) == (10, 6)
    del content["decoder_conf"]["att_layer_num"]
    assert (read(content).decoder.layers, read(content).decoder.plain_layers) == (6, 10)


def test_the_no_bias_token_has_its_published_default() -> None:
    content = full()
    del content["model_conf"]["NO_BIAS"]
    hotwords = read(content).hotwords
    assert hotwords is not None
    assert hotwords.no_bias_id == 8377
    with pytest.raises(StartError, match=r"NO_BIAS \(left out\) is outside 0 to 99"):
        read(content, pieces=100)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "SenseVoiceSmall"),
        ("model", ["Paraformer"]),
        ("model_conf", []),
        ("model_conf.ctc_weight", 0.3),
        ("model_conf.predictor_bias", 0),
        ("model_conf.share_embedding", True),
        ("model_conf.sos", 8402),
        ("model_conf.inner_dim", 256),
        ("model_conf.bias_encoder_type", "mean"),
        ("model_conf.bias_encoder_bid", True),
        ("model_conf.NO_BIAS", PIECES),
        ("normalize", "utterance_mvn"),
        ("encoder", "ConformerEncoder"),
        ("encoder_conf.input_layer", "pe_online"),
        ("encoder_conf.normalize_before", False),
        ("encoder_conf.sanm_shfit", 5),
        ("encoder_conf.selfattention_layer_type", "selfattn"),
        ("encoder_conf.attention_heads", 3),
        ("encoder_conf.num_blocks", 10**9),
        ("encoder_conf.num_blocks", 0),
        ("encoder_conf.output_size", -512),
        ("encoder_conf.linear_units", "2048"),
        ("encoder_conf.linear_units", 2048.0),
        ("encoder_conf.num_blocks", True),
        ("encoder_conf.kernel_size", 10**40),
        ("encoder_conf.something_new", 1),
        ("decoder", "TransformerDecoder"),
        ("decoder_conf.sanm_shfit", 5),
        ("decoder_conf.use_output_layer", False),
        ("decoder_conf.lora_list", ["q"]),
        ("seaco_decoder", None),
        ("seaco_decoder_conf.att_layer_num", 5),
        ("seaco_decoder_conf.wo_input_layer", False),
        ("predictor", "CifPredictorV2"),
        ("predictor_conf.threshold", 0.95),
        ("predictor_conf.idim", 256),
        ("predictor_conf.l_order", -1),
        ("predictor_conf.r_order", 0.5),
        ("predictor_conf.tail_threshold", float("nan")),
        ("predictor_conf.upsample_type", "cnn_attn"),
        ("predictor_conf.upsample_times", 1000),
        ("predictor_conf.use_cif1_cnn", "no"),
        ("frontend", "WhisperFrontend"),
        ("frontend_conf.fs", 8000),
        ("frontend_conf.n_mels", 40),
        ("frontend_conf.lfr_m", 5),
        ("frontend_conf.window", "povey"),
    ],
)
def test_what_we_do_not_compute_is_refused_by_key(key: str, value: object) -> None:
    with pytest.raises(StartError) as refusal:
        read(changed(key, value))
    message = refusal.value.message
    assert message.startswith(f"config.yaml: {key} (")
    assert message.endswith(
        "use an offline Paraformer, BiCifParaformer or SeacoParaformer checkpoint"
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    "key", ["encoder_conf.input_layer", "predictor_conf.l_order", "frontend_conf.lfr_m"]
)
def test_a_key_left_out_means_the_default_of_funasr(key: str) -> None:
    block, last = key.split(".")
    content = full()
    del content[block][last]
    with pytest.raises(StartError, match=rf"{block}\.{last} \(left out\)"):
        read(content)


@given(
    key=st.sampled_from(
        [
            f"{block}.{key}"
            for block, values in full().items()
            if isinstance(values, dict) and block not in {"tokenizer_conf", "ctc_conf"}
            for key in values
        ]
    ),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())
    ),
)
def test_any_value_is_read_or_refused(key: str, value: object) -> None:
    with suppress(StartError):
        found = read(changed(key, value))
        assert found.encoder.size % found.encoder.heads == 0
        assert found.encoder.layers <= 128


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "holds no keys and values"),
        (b"- a\n- b\n", "holds no keys and values"),
        (b"1: a\n", "a key that is no text"),
        (b"model: [", "no valid YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: \x00", "no valid YAML"),
        (b"a: 2001-99-99\n", "no valid YAML"),
        (b"a: &a [x]\nb: *a\n", "aliases"),
        (b"a: " + b"[" * 5000, "nested more than"),
        (b"a: !!python/object/apply:os.system ['true']\n", "no valid YAML"),
        (b"a: !!python/name:os.system\n", "no valid YAML"),
        (b"? [a, b]\n: c\n", "a key that is no text|no valid YAML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run git lfs pull"),
        (b"#" * (MAX_CONFIG_BYTES + 1), "is over 16 MB"),
    ],
)
def test_hostile_yaml_is_refused_by_name(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(StartError, match=fault) as refusal:
        read_yaml(path)
    assert str(path) in refusal.value.message
    assert "download the model again" in refusal.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"[" * 100_000, b'{"a": 1' + b"0" * 9999])
def test_hostile_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "configuration.json"
    path.write_bytes(content)
    with pytest.raises(StartError, match=r"configuration\.json"):
        read_json(path)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="is not a file"):
        read_yaml(tmp_path)
    with pytest.raises(StartError, match="cannot be read"):
        read_yaml(tmp_path / "config.yaml")


def test_pieces_in_a_configuration_are_texts() -> None:
    assert listed_pieces("config.yaml", {"token_list": ["a", "b"]}) == ["a", "b"]
    assert listed_pieces("config.yaml", {}) is None
    # what YAML makes of an unquoted "no"
    with pytest.raises(StartError, match=r"token_list .* is no list of texts"):
        listed_pieces("config.yaml", {"token_list": ["a", False]})
