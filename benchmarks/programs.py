"""The command lines that are compared, run one at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def call(*words: object, **environment: str) -> str:
    """Standard output of a command of this project. Raises CalledProcessError."""
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def printed(*words: object, **environment: str) -> dict[str, Any]:
    """The JSON object that a command of this project prints last."""
    answer: dict[str, Any] = json.loads(call(*words, **environment).splitlines()[-1])
    return answer
