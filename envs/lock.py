"""Resolve ``requirements.in`` into the hashed ``requirements.lock`` (run by ``make lock``)."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# torch's CPU and CUDA builds share a version but no hash, and torch pins its CUDA packages itself.
LEFT_TO_TORCH = re.compile(r"(nvidia|cuda|triton|torch)\b")


def main() -> None:
    """Write the lock beside the Makefile."""
    source = HERE / "requirements.in"
    command = [
        "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes",
        "--no-annotate", "--no-header", str(source),
    ]  # fmt: skip
    resolved = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    blocks = re.split(r"\n(?=\S)", resolved)
    kept = [block for block in blocks if not LEFT_TO_TORCH.match(block)]
    lock = HERE.parent / "requirements.lock"
    lock.write_text("\n".join(kept).rstrip() + "\n", encoding="utf-8")
    torch = re.search(r"^torch==(\S+)", source.read_text(encoding="utf-8"), re.MULTILINE)
    if torch is None:
        sys.exit(f"{source.name}: expected a line torch==VERSION, found none; add it")
    (HERE.parent / "requirements-torch.lock").write_text(f"torch=={torch[1]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
