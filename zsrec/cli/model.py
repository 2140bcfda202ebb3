"""`zsrec model`: the local vLLM server, in an environment of its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.text import Text

from zsrec.cli.console import err, out, print_line
from zsrec.cli.options import option
from zsrec.llm import vllm_options, vllm_process, vllm_server

app = typer.Typer(help="Start and stop a local model server.", no_args_is_help=True)

Port = Annotated[int, option("The TCP port; one server runs per port.", "--port")]


@app.command()
def up(
    model: Annotated[
        str | None, option("A model folder, a hub id, or a .gguf file; by default SmolLM2-135M-Instruct.")
    ] = None,
    name: Annotated[str | None, option("The name for requests; by default from the model.")] = None,
    port: Port = vllm_options.DEFAULT_PORT,
    host: Annotated[str, option("The address to listen on; 127.0.0.1 is this machine only.")] = "127.0.0.1",
    max_model_len: Annotated[int, option("The longest prompt plus answer, in tokens.")] = 4096,
    block_size: Annotated[int, option("Tokens per block of the prefix cache.")] = 32,
    engine: Annotated[
        str, option("cpu, vllm (needs a GPU), llamacpp (GGUF, light), or auto: vllm if there is a GPU.")
    ] = "auto",
    python: Annotated[Path | None, option("The Python interpreter for the engine's environment.")] = None,
    extra_arg: Annotated[
        list[str] | None,
        option("Another argument for vLLM's server, e.g. --extra-arg=--max-num-seqs=8; repeatable."),
    ] = None,
    wait: Annotated[bool, option("Wait until the server answers.")] = True,
    timeout: Annotated[float, option("The longest wait, in seconds.")] = 600.0,
) -> None:
    """Start a local model server; installs its engine and model first if they are missing.

    If the same server runs already, it stays. Ctrl-C stops what was started.
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
    print_line(f"{one.state.name} {how} at {one.base_url} (pid {one.state.process.pid})")
    print_line(f"engine: {one.state.program or f'{one.state.engine}, installed by zsrec'}")
    print_line(f"log: {one.state.log}")


@app.command()
def down(
    port: Port = vllm_options.DEFAULT_PORT,
    every: Annotated[bool, option("Stop every server that zsrec started.", "--all")] = False,
) -> None:
    """Stop the server at a port with all its processes; if there is none, that is no error."""
    ports = [one.state.port for one in vllm_server.status()] if every else [port]
    ended = [state for each in ports if (state := vllm_server.down(each)) is not None]
    for state in ended:
        print_line(f"{state.name} at port {state.port} is down")
    if not ended:
        print_line("no server runs" if every else f"no server of zsrec runs at port {port}")


@app.command()
def status(
    port: Annotated[int | None, option("Only the server at this port.")] = None,
    as_json: Annotated[bool, option("Print JSON, one object per server.", "--json")] = False,
) -> None:
    """List the servers that zsrec started; the exit code is 1 if none answers."""
    found = vllm_server.status(port)
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in found], indent=2))
    for one in () if as_json else found:
        out.print(_as_text(one), soft_wrap=True)
    if not found and not as_json:
        print_line("no server of zsrec is known" + ("" if port is None else f" at port {port}"))
    if not any(one.healthy for one in found):
        raise typer.Exit(1)


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
        "engine": f"{state.engine} ({state.program})" if state.program else state.engine,
        "since": state.since,
        "memory": f"{one.rss / 1024**2:,.0f} MiB",
        "log": state.log,
    }
    return head + Text("".join(f"\n  {key:<7} {value}" for key, value in rows.items()))
