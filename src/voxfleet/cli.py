"""The command line: names, flags and exit states. Knows no work; imports it when it is asked for.

Exit states: 0 done, 1 some files failed or the server could not start, 2 the command was wrong,
128 + N ended by signal N (130 is Ctrl-C).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voxfleet.core import ChannelMode, TextOptions, VadMode
from voxfleet.store.access_key import Scope

if TYPE_CHECKING:
    from voxfleet.config import Settings

app = typer.Typer(
    name="voxfleet",
    help="A self-hosted speech-recognition server: many isolated model instances, one address.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(
    help="See and check the settings.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")
keys_app = typer.Typer(
    help="Keys of clients, whether or not the server runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(keys_app, name="keys")

ConfigFlag = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML); also VOXFLEET_CONFIG.")
]
DataDirFlag = Annotated[Path | None, typer.Option("--data-dir", help="Folder of everything kept.")]
ModelFlag = Annotated[
    str | None,
    typer.Option("--model", help="Model name or directory; by default the best present."),
]
InstancesFlag = Annotated[int | None, typer.Option("--instances", help="Model processes.")]
DeviceFlag = Annotated[
    str | None, typer.Option("--device", help="Where the model runs: cpu, cuda:0, ...")
]
PrecisionFlag = Annotated[
    str | None,
    typer.Option("--precision", help="float32, bfloat16, float16 or int8; by default the best."),
]

PunctuateFlag = Annotated[
    bool | None,
    typer.Option("--punctuate/--no-punctuate", help="Add marks; by default where possible."),
]
ItnFlag = Annotated[bool, typer.Option("--itn", help="Write numbers as digits.")]


@app.command()
def serve(
    model: ModelFlag = None,
    instances: InstancesFlag = None,
    device: DeviceFlag = None,
    precision: PrecisionFlag = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [7860].")] = None,
    data_dir: DataDirFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Serve speech recognition over HTTP until stopped."""
    flags: dict[str, object] = {
        "model": model,
        "instances": instances,
        "device": device,
        "precision": precision,
        "server.host": host,
        "server.port": port,
        "data_dir": data_dir,
    }
    settings = _settings(flags, config)
    from voxfleet.assemble import run_server

    run_server(settings, typer.echo, lambda: _settings(flags, config))


@app.command()
def transcribe(
    files: Annotated[
        list[str], typer.Argument(help="Files, folders, 'patterns*', or - for standard input.")
    ],
    model: ModelFlag = None,
    output_format: Annotated[
        str, typer.Option("--format", "-f", help="text, json, verbose_json, srt, vtt or tsv.")
    ] = "text",
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", help="Folder to write one file each into.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Spoken language, such as en or zh.")] = None,
    hotwords: Annotated[
        str | None, typer.Option(help="Words to expect, separated by commas or spaces.")
    ] = None,
    vad: Annotated[VadMode | None, typer.Option(help="How speech is found.")] = None,
    channel: Annotated[
        ChannelMode, typer.Option(help="Of a stereo file; split makes one text of each.")
    ] = ChannelMode.MIX,
    punctuate: PunctuateFlag = None,
    itn: ItnFlag = False,
    instances: InstancesFlag = None,
    device: DeviceFlag = None,
    precision: PrecisionFlag = None,
    progress: Annotated[
        bool, typer.Option("--progress/--no-progress", help="Show bars on a terminal.")
    ] = True,
    config: ConfigFlag = None,
) -> None:
    """Turn recordings into text here and now; no server needed."""
    settings = _settings(
        {
            "model": model,
            "instances": instances,
            "device": device,
            "precision": precision,
            "audio.vad": vad,
            "itn.enabled": itn or None,
        },
        config,
    )
    from voxfleet.cli_transcribe import InterruptedBySignal, Wishes, run_transcribe

    wishes = Wishes(
        files=tuple(files),
        output_format=output_format,
        output_dir=output_dir,
        language=language,
        hotwords=hotwords,
        channel=channel,
        text=TextOptions(punctuate, itn),
        progress=progress,
    )
    try:
        failed = run_transcribe(settings, wishes)
    except InterruptedBySignal as interruption:
        raise typer.Exit(128 + interruption.number) from None
    raise typer.Exit(1 if failed else 0)


@app.command()
def listen(
    sound: Annotated[
        str, typer.Argument(help="A file, or - for what a microphone's program writes.")
    ] = "-",
    url: Annotated[str, typer.Option(help="A running server.")] = "http://127.0.0.1:7860",
    key: Annotated[
        str | None,
        typer.Option(help="A key of the server.", envvar=["VOXFLEET_API_KEY", "OPENAI_API_KEY"]),
    ] = None,
    model: Annotated[str | None, typer.Option(help="One of the server's models.")] = None,
    language: Annotated[str | None, typer.Option(help="Spoken language, such as en or zh.")] = None,
    hotwords: Annotated[
        str | None, typer.Option(help="Words to expect, separated by commas or spaces.")
    ] = None,
    vad: Annotated[VadMode | None, typer.Option(help="How speech is found.")] = None,
    rate: Annotated[int, typer.Option(help="Samples a second of raw sound on a pipe.")] = 16_000,
    fast: Annotated[
        bool, typer.Option("--fast", help="Play a file as fast as the server hears it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the server's events, one a line.")
    ] = False,
) -> None:
    """Show the words of a file or a microphone as they are spoken; needs a running server."""
    from voxfleet.cli_listen import Wishes, run_listen
    from voxfleet.cli_listen_server import Server

    server = Server(url, key, model)
    wishes = Wishes(sound, server, language, hotwords, vad, rate, fast, as_json)
    raise typer.Exit(run_listen(wishes))


@config_app.command("show")
def config_show(config: ConfigFlag = None) -> None:
    """Print every setting, its value, and where it came from, as TOML."""
    from voxfleet.config_sources import read_sources
    from voxfleet.config_text import settings_as_toml

    sources = read_sources({}, os.environ, _config_file(config))
    typer.echo(settings_as_toml(sources), nl=False)


@config_app.command("check")
def config_check(config: ConfigFlag = None) -> None:
    """Say whether the settings are valid; exit state 2 and one line when they are not."""
    _settings({}, config)
    typer.echo("the settings are valid")


@keys_app.command("add")
def keys_add(
    name: Annotated[str, typer.Argument(help="What it is for, such as the client's name.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do [transcribe]; may be repeated.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="Most requests for work in a minute.")
    ] = None,
    concurrent: Annotated[int | None, typer.Option(help="Most of them at once.")] = None,
    data_dir: DataDirFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Make a key, and print it: it is shown this once. Then every client needs one."""
    folder = _settings({"data_dir": data_dir}, config).data_dir
    from voxfleet.cli_keys import add_key

    add_key(folder, name, scope or [Scope.TRANSCRIBE], requests_per_minute, concurrent)


@keys_app.command("list")
def keys_list(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    data_dir: DataDirFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Print every key there has been, without the key itself."""
    folder = _settings({"data_dir": data_dir}, config).data_dir
    from voxfleet.cli_keys import list_keys

    list_keys(folder, as_json)


@keys_app.command("revoke")
def keys_revoke(
    id_or_name: Annotated[str, typer.Argument(help="The key's id or its name.")],
    data_dir: DataDirFlag = None,
    config: ConfigFlag = None,
) -> None:
    """End a key for good; a running server refuses it about a second later."""
    folder = _settings({"data_dir": data_dir}, config).data_dir
    from voxfleet.cli_keys import revoke_key

    revoke_key(folder, id_or_name)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed_version

    typer.echo(f"voxfleet {installed_version('voxfleet')}")


def _config_file(named: Path | None) -> Path | None:
    fallback = os.environ.get("VOXFLEET_CONFIG")
    return named or (Path(fallback) if fallback else None)


def _settings(flags: dict[str, object], config: Path | None) -> Settings:
    from voxfleet.config_sources import load_settings

    return load_settings(flags, os.environ, _config_file(config))


def main() -> None:
    """The console script: every deliberate error becomes one line and an exit state."""
    from voxfleet.errors import Fault, VoxfleetError

    try:
        app()
    except VoxfleetError as fault:
        if sys.stderr is not None:
            sys.stderr.write(f"voxfleet: {fault.message}\n")
        sys.exit(2 if fault.fault is Fault.CLIENT else 1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
