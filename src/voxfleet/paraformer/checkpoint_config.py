"""A published config.yaml as a ParaformerConfig; all that it says and we do not compute is refused.

Defaults are those of the published models' own classes. Knows no file and no weights.
"""

from __future__ import annotations

from voxfleet.paraformer.config_section import ConfigSection
from voxfleet.paraformer.model_config import (
    Architecture,
    DecoderConfig,
    EncoderConfig,
    FrontendConfig,
    HotwordConfig,
    ParaformerConfig,
    PredictorConfig,
    UpsampleConfig,
)

#: spellings of today's files and of those before framework 1.0
_MODELS = {
    "Paraformer": Architecture.PARAFORMER.value,
    "paraformer": Architecture.PARAFORMER.value,
    "BiCifParaformer": Architecture.BICIF.value,
    "bicif_paraformer": Architecture.BICIF.value,
    "SeacoParaformer": Architecture.SEACO.value,
    "seaco_paraformer": Architecture.SEACO.value,
}
_FRONTENDS = {"WavFrontend": "WavFrontend", "wav_frontend": "WavFrontend"}
_ENCODERS = {"SANMEncoder": "SANMEncoder", "sanm": "SANMEncoder"}
_DECODERS = {
    "ParaformerSANMDecoder": "ParaformerSANMDecoder",
    "paraformer_decoder_sanm": "ParaformerSANMDecoder",
}
_V2 = {"CifPredictorV2": "CifPredictorV2", "cif_predictor_v2": "CifPredictorV2"}
_V3 = {"CifPredictorV3": "CifPredictorV3", "cif_predictor_v3": "CifPredictorV3"}

#: far beyond the published sizes (512, 2048, 50, 21), far below what would harm anybody
_MAX_SIZE, _MAX_UNITS, _MAX_LAYERS, _MAX_KERNEL = 4096, 16384, 128, 127
_MAX_ORDER, _MAX_TIMES = 16, 16
#: a longer list of hotwords is cut down by the attention of this bias layer, counted from 1
_SHORTLIST_LAYERS = 6
_NO_BIAS_ID = 8377

_OF_TRAINING = (
    "dropout_rate",
    "positional_dropout_rate",
    "attention_dropout_rate",
    "self_attention_dropout_rate",
    "src_attention_dropout_rate",
    "dropout",
    "padding_idx",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "tf2torch_tensor_name_prefix_torch",
    "tf2torch_tensor_name_prefix_tf",
)


def paraformer_config(
    source: str, content: dict[str, object], vocabulary_size: int
) -> ParaformerConfig:
    """`source` names the file in errors; raises StartError."""
    whole = ConfigSection(source, content)
    architecture = Architecture(whole.choice("model", _MODELS))
    model = whole.block("model_conf")
    _check_whole(whole)
    _check_model(model)
    frontend = _frontend(whole)
    encoder = _encoder(whole, frontend.feature_size)
    return ParaformerConfig(
        architecture=architecture,
        frontend=frontend,
        encoder=encoder,
        decoder=_decoder(whole, encoder.size),
        predictor=_predictor(whole, encoder.size, up=architecture is not Architecture.PARAFORMER),
        vocabulary_size=vocabulary_size,
        hotwords=_hotwords(whole, model, encoder.size, vocabulary_size)
        if architecture is Architecture.SEACO
        else None,
    )


def listed_pieces(source: str, content: dict[str, object]) -> list[str] | None:
    """The vocabulary that files before framework 1.0 carry themselves."""
    return ConfigSection(source, content).strings("token_list")


def _check_whole(whole: ConfigSection) -> None:
    for key in ("normalize", "preencoder", "postencoder"):
        whole.only(key, None, None)


def _check_model(model: ConfigSection) -> None:
    # a model with a CTC head has weights that we would not use
    model.only("ctc_weight", 0, 0.5)
    # the last token that fires is the end of the sentence
    model.only("predictor_bias", 1, 0)
    model.only("share_embedding", False, False)
    model.only("blank_id", 0, 0)
    model.only("sos", 1, 1)
    model.only("eos", 2, 2)


def _frontend(whole: ConfigSection) -> FrontendConfig:
    whole.choice("frontend", _FRONTENDS)
    block = whole.block("frontend_conf")
    block.only("fs", 16_000, 16_000)
    block.only("window", "hamming", "hamming")
    block.only("n_mels", 80, 80)
    block.only("frame_length", 25, 25)
    block.only("frame_shift", 10, 10)
    block.only("lfr_m", 7, 1)
    block.only("lfr_n", 6, 1)
    block.only("filter_length_min", -1, -1)
    block.only("filter_length_max", -1, -1)
    block.only("snip_edges", True, True)
    block.only("upsacle_samples", True, True)
    # noise added in training, and a path on the machine that trained
    block.ignore(("dither", "cmvn_file"))
    block.finish()
    return FrontendConfig()


def _encoder(whole: ConfigSection, input_size: int) -> EncoderConfig:
    whole.choice("encoder", _ENCODERS)
    block = whole.block("encoder_conf")
    block.only("input_layer", "pe", "conv2d")
    block.only("positionwise_layer_type", "linear", "linear")
    block.only("selfattention_layer_type", "sanm", "sanm")
    block.only("interctc_layer_idx", [], [])
    block.only("interctc_use_conditioning", False, False)
    _check_layers(block)
    block.ignore(("pos_enc_class", "positionwise_conv_kernel_size", *_OF_TRAINING))
    size = block.whole("output_size", 256, 2, _MAX_SIZE)
    config = EncoderConfig(
        input_size=input_size,
        size=size,
        heads=_heads(block, size),
        linear_units=block.whole("linear_units", 2048, 1, _MAX_UNITS),
        layers=block.whole("num_blocks", 6, 1, _MAX_LAYERS),
        kernel_size=block.whole("kernel_size", 11, 1, _MAX_KERNEL),
    )
    block.finish()
    return config


def _decoder(whole: ConfigSection, size: int) -> DecoderConfig:
    whole.choice("decoder", _DECODERS)
    block = whole.block("decoder_conf")
    block.only("use_output_layer", True, True)
    block.only("wo_input_layer", False, False)
    config = _decoder_sizes(block, size, fewest=1)
    block.finish()
    return config


def _decoder_sizes(block: ConfigSection, size: int, fewest: int) -> DecoderConfig:
    block.only("input_layer", "embed", "embed")
    block.only("chunk_multiply_factor", [1], [1])
    _check_layers(block)
    block.ignore(("pos_enc_class", *_OF_TRAINING))
    layers = block.whole("att_layer_num", 6, fewest, _MAX_LAYERS)
    return DecoderConfig(
        size=size,
        heads=_heads(block, size),
        linear_units=block.whole("linear_units", 2048, 1, _MAX_UNITS),
        layers=layers,
        # layers that attend are built even where num_blocks is less
        plain_layers=max(0, block.whole("num_blocks", 6, 1, _MAX_LAYERS) - layers),
        kernel_size=block.whole("kernel_size", 21, 1, _MAX_KERNEL),
    )


def _check_layers(block: ConfigSection) -> None:
    block.only("normalize_before", True, True)
    block.only("concat_after", False, False)
    # 5 in streaming checkpoints, whose memory hears less of what comes
    block.only("sanm_shfit", 0, 0)
    block.only("lora_list", None, None)


def _heads(block: ConfigSection, size: int) -> int:
    heads = block.whole("attention_heads", 4, 1, size)
    if size % heads:
        raise block.refused("attention_heads", f"does not divide the model's size {size}")
    return heads


def _predictor(whole: ConfigSection, size: int, *, up: bool) -> PredictorConfig:
    whole.choice("predictor", _V3 if up else _V2)
    block = whole.block("predictor_conf")
    block.only("idim", size, None)
    block.only("threshold", 1, 1)
    block.only("tail_mask", True, True)
    block.ignore(_OF_TRAINING)
    config = PredictorConfig(
        size=size,
        left_order=block.whole("l_order", None, 0, _MAX_ORDER),
        right_order=block.whole("r_order", None, 0, _MAX_ORDER),
        tail_threshold=block.fraction("tail_threshold", 0.0, 0.0, 1.0),
        smooth_factor=block.fraction("smooth_factor", 1.0, 0.0, 10.0),
        noise_threshold=block.fraction("noise_threshold", 0.0, 0.0, 1.0),
        upsample=_upsample(block) if up else None,
    )
    block.finish()
    return config


def _upsample(block: ConfigSection) -> UpsampleConfig:
    kinds = {"cnn": "cnn", "cnn_blstm": "cnn_blstm"}
    return UpsampleConfig(
        times=block.whole("upsample_times", 5, 1, _MAX_TIMES),
        smooth_factor=block.fraction("smooth_factor2", 1.0, 0.0, 10.0),
        noise_threshold=block.fraction("noise_threshold2", 0.0, 0.0, 1.0),
        blstm=block.choice("upsample_type", kinds, "cnn") == "cnn_blstm",
        after_conv=block.flag("use_cif1_cnn", default=True),
    )


def _hotwords(
    whole: ConfigSection, model: ConfigSection, size: int, vocabulary_size: int
) -> HotwordConfig:
    model.only("inner_dim", size, 256)
    model.only("bias_encoder_type", "lstm", "lstm")
    model.only("bias_encoder_bid", False, False)
    whole.choice("seaco_decoder", _DECODERS)
    block = whole.block("seaco_decoder_conf")
    block.only("use_output_layer", False, True)
    block.only("wo_input_layer", True, False)
    decoder = _decoder_sizes(block, size, fewest=_SHORTLIST_LAYERS)
    block.finish()
    return HotwordConfig(
        decoder=decoder,
        no_bias_id=model.whole("NO_BIAS", _NO_BIAS_ID, 0, vocabulary_size - 1),
    )
