# SPDX-License-Identifier: Apache-2.0
"""Run by `make test-wheel` in an environment that holds the wheel without extras, and no more.

Not a pytest module: pytest itself is not installed yet.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "torchvision", "timm", "onnx", "nncf", "lightning", "scipy", "pandas")


def main() -> None:
    found = [name for name in HEAVY if importlib.util.find_spec(name) is not None]
    if found:
        sys.exit(f"the wheel without extras brought {', '.join(found)}")
    command = Path(sys.executable).with_name("aminet-run")
    for options in (["--version"], ["--doctor"]):
        subprocess.run([command, *options], check=True)
    print("nothing heavy, and the shipped bundle passes its self-test")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
