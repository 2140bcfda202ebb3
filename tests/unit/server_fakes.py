"""A stand-in for vLLM, installed by pip and started like the real one: a wheel with one tiny HTTP server."""

from __future__ import annotations

import random
import socket
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from zsrec.core.files import Home
from zsrec.llm.vllm_install import Recipe, ensure_engine
from zsrec.llm.vllm_options import Progress

# It has a child, as vLLM has; the switches make it misbehave.
SERVER = """
import argparse, json, os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

p = argparse.ArgumentParser()
p.add_argument("--model"), p.add_argument("--served-model-name"), p.add_argument("--host")
p.add_argument("--port", type=int), p.add_argument("--max-model-len"), p.add_argument("--block-size")
p.add_argument("--crash", action="store_true"), p.add_argument("--stubborn", action="store_true")
p.add_argument("--never-ready", action="store_true"), p.add_argument("--other-name", action="store_true")
p.add_argument("--die-alone", action="store_true")
p.add_argument("--enforce-eager", action="store_true"), p.add_argument("--dtype")
p.add_argument("--enable-tokenizer-info-endpoint", action="store_true")
o = p.parse_args()
print("args", json.dumps(sys.argv[1:]), "offline", os.environ.get("HF_HUB_OFFLINE"), flush=True)
if o.stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
if o.crash:
    for n in range(40):
        print("crash line", n)
    print("RuntimeError: this model is broken", flush=True)
    child.kill()
    sys.exit(3)
if o.die_alone:
    os._exit(4)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = "someone-else" if o.other_name else o.served_model_name
        body = json.dumps({"data": [{"id": name}]}).encode() if self.path == "/v1/models" else b""
        self.send_response(503 if o.never_ready else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass

HTTPServer((o.host, o.port), Handler).serve_forever()
"""

VERSION = "1.0"


def fake_wheel(folder: Path) -> Path:
    """A wheel of a package with the module that zsrec starts."""
    path = folder / f"zsrec_fake_vllm-{VERSION}-py3-none-any.whl"
    info = f"zsrec_fake_vllm-{VERSION}.dist-info"
    package = "vllm/entrypoints/openai"
    files = {
        **{f"{'/'.join(package.split('/')[:n])}/__init__.py": "" for n in (1, 2, 3)},
        f"{package}/api_server.py": SERVER,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: zsrec-fake-vllm\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def shared_recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """An engine made of that wheel alone; it needs no network. One for the whole test run."""
    folder = tmp_path_factory.getbasetemp() / "fake-wheel"
    folder.mkdir(exist_ok=True)
    return Recipe(name="fake", version=VERSION, requirements=(str(fake_wheel(folder)), "--no-index"))


def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with that engine in it, which pip installs when the first test of the run asks."""
    home = Home(tmp_path_factory.getbasetemp() / "fake-home")
    ensure_engine(shared_recipe(tmp_path_factory), home, Progress())
    return home


def free_port() -> int:
    """A port that nothing has now.

    Below those that the kernel gives out by itself (from 32768 on), so that no test beside this one gets it before
    the server is up.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
