"""A running `zsrec serve`, for tests that need a real process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.conftest import REPO
from tests.unit.serve_fakes import sources

KEY = "planted-key-of-the-shop-1"
ADMIN = "planted-key-of-the-admin"


class Process:
    """A running service, of six films or of the MovieLens sample; `lines` is its log so far."""

    def __init__(self, folder: Path, base_url: str, *further: str, sample: bool = False, setup: str = "") -> None:
        where = sources(folder)
        data = [] if sample else ["--catalog", str(where.catalog), "--interactions", str(where.interactions)]
        (folder / "keys").write_text(f"shop:{KEY}\nops:{ADMIN}:admin\n")
        (folder / "model.key").write_text("planted-model-key-zz\n")
        (folder / "hash.key").write_text("planted-hash-key-zz-9\n")
        self.folder, self.lines = folder, list[str]()
        run = ["-c", f"{setup}; from zsrec.cli import main; main()"] if setup else ["-m", "zsrec"]
        command = [sys.executable, *run, "serve", "--port", "0", "--base-url", base_url,
                   "--keys", str(folder / "keys"), "--api-key-file", str(folder / "model.key"),
                   "--hash-key-file", str(folder / "hash.key"), *data, *further]  # fmt: skip
        self.process = subprocess.Popen(
            command, cwd=folder, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(REPO), "OPENAI_LOG": "debug"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = self.wait_for("Uvicorn running on")
        self.port = int(re.findall(r":(\d+) ", found)[0])

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, text: str) -> str:
        for _ in range(600):
            for line in list(self.lines):
                if text in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"no {text!r} in the log:\n{''.join(self.lines)}")

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def post(self, path: str, body: object, key: str = KEY, **headers: str) -> tuple[int, dict[str, Any]]:
        http = self.connection()
        told = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
        http.request("POST", path, json.dumps(body), told)
        reply = http.getresponse()
        found = json.loads(reply.read())
        http.close()
        return reply.status, found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code
