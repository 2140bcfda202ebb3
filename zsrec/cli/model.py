"""`zsrec model`: the embedded default server, a local vLLM in an environment of its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.text import Text

from zsrec.cli.console import err, out
from zsrec.llm import vllm_options, vllm_process, vllm_server

app = typer.Typer(help="Bring the local model server up and down.", no_args_is_help=True)

PortOption = Annotated[int, typer.Option(help="The TCP port; one server runs per port.")]


@app.command()
def up(
    model: Annotated[
        str | None, typer.Option(help="A model folder or a hub id; by default SmolLM2-135M-Instruct.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The name that requests use; by default from the model.")
    ] = None,
    port: PortOption = vllm_options.DEFAULT_PORT,
    host: Annotated[
        str, typer.Option(help="The address to listen at; a loopback one is for this machine only.")
    ] = "127.0.0.1",
    max_model_len: Annotated[int, typer.Option(help="The longest prompt plus answer, in tokens.")] = 4096,
    block_size: Annotated[int, typer.Option(help="Tokens per block of the prefix cache.")] = 32,
    engine: Annotated[
        str, typer.Option(help="cpu, vllm (needs a GPU), or auto: vllm where a GPU answers, else cpu.")
    ] = "auto",
    python: Annotated[
        Path | None, typer.Option(help="The interpreter to build the engine's environment with.")
    ] = None,
    extra_arg: Annotated[
        list[str] | None,
        typer.Option(help="A further argument for vLLM's server, e.g. --extra-arg=--max-num-seqs=8; repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the server answers.")] = True,
    timeout: Annotated[float, typer.Option(help="How long to wait for that, in seconds.")] = 600.0,
) -> None:
    """Brings a local model server up; installs its engine and model first where they are missing.

    Where the same server runs already, says so. Ctrl-C ends what was started.
    """
    options = vllm_options.ServerOptions(
        model=model,
        name=name,
        host=host,
        port=port,
        max_model_len=max_model_len,
        block_size=block_size,
        engine=cast("vllm_options.EngineChoice", engine),  # checked by ServerOptions
        python=python,
        extra_args=tuple(extra_arg or ()),
    )
    with vllm_process.interruptible():
        one = vllm_server.up(options, progress=vllm_options.ConsoleProgress(err), wait=wait, timeout=timeout)
    how = ("is up" if one.started else "is up already") if one.ready else "is starting"
    out.print(Text(f"{one.state.name} {how} at {one.base_url} (pid {one.state.process.pid})"), soft_wrap=True)
    out.print(Text(f"log: {one.state.log}"), soft_wrap=True)


@app.command()
def down(
    port: PortOption = vllm_options.DEFAULT_PORT,
    every: Annotated[bool, typer.Option("--all", help="End every server that zsrec started.")] = False,
) -> None:
    """Ends the server at a port with all its processes; nothing to end is no error."""
    ports = [one.state.port for one in vllm_server.status()] if every else [port]
    ended = [state for each in ports if (state := vllm_server.down(each)) is not None]
    for state in ended:
        out.print(Text(f"{state.name} at port {state.port} is down"))
    if not ended:
        out.print(Text("no server runs" if every else f"no server of zsrec runs at port {port}"))


@app.command()
def status(
    port: Annotated[int | None, typer.Option(help="Only the server at this port.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a server.")] = False,
) -> None:
    """Says which servers zsrec started and how they are; exit code 1 where none answers."""
    found = vllm_server.status(port)
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in found], indent=2))
    for one in () if as_json else found:
        out.print(_as_text(one), soft_wrap=True)
    if not found and not as_json:
        out.print(Text("no server of zsrec is known" + ("" if port is None else f" at port {port}")))
    if not any(one.healthy for one in found):
        raise typer.Exit(1)


def register(main: typer.Typer) -> None:
    """Adds the commands to the application."""
    main.add_typer(app, name="model")


def _as_json(one: vllm_server.ServerStatus) -> dict[str, object]:
    state = asdict(one.state)
    process = state.pop("process")
    return {
        "pid": process["pid"],
        **state,
        "base_url": one.base_url,
        "alive": one.alive,
        "healthy": one.healthy,
        "rss_bytes": one.rss,
    }


def _as_text(one: vllm_server.ServerStatus) -> Text:
    state = one.state
    word, style = ("up", "green") if one.healthy else ("not answering", "yellow") if one.alive else ("dead", "red")
    head = Text(f"{state.name} at {one.base_url}: ") + Text(word, style=style)
    rows = {
        "pid": str(state.process.pid),
        "model": state.model or "SmolLM2-135M-Instruct (built-in)",
        "engine": state.engine,
        "since": state.since,
        "memory": f"{one.rss / 1024**2:,.0f} MiB",
        "log": state.log,
    }
    return head + Text("".join(f"\n  {key:<7} {value}" for key, value in rows.items()))
