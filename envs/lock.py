"""Resolve ``requirements.in`` and ``nnunet.in`` into hashed locks (run by ``make lock``)."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# torch's CPU and CUDA builds share a version but no hash, and torch pins its CUDA packages itself.
LEFT_TO_TORCH = re.compile(r"(nvidia|cuda|triton|torch|torchvision)\b")


def main() -> None:
    """Write the locks beside the Makefile."""
    source = HERE / "requirements.in"
    lock = HERE.parent / "requirements.lock"
    torch_lock = HERE.parent / "requirements-torch.lock"
    _write(lock, _resolved(source))
    torch = re.search(r"^torch==(\S+)", source.read_text(encoding="utf-8"), re.MULTILINE)
    if torch is None:
        sys.exit(f"{source.name}: expected a line torch==VERSION, found none; add it")
    torch_lock.write_text(f"torch=={torch[1]}\n", encoding="utf-8")
    there = set(re.findall(r"^([\w.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    added = _resolved(HERE / "nnunet.in", "-c", str(lock), "-c", str(torch_lock))
    new = [block for block in added if block.split("==")[0] not in there]
    _write(HERE.parent / "requirements-nnunet.lock", new)


def _resolved(source: Path, *constraints: str) -> list[str]:
    """One block of lines a package."""
    command = [
        "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes",
        "--no-annotate", "--no-header", str(source), *constraints,
    ]  # fmt: skip
    resolved = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [b for b in re.split(r"\n(?=\S)", resolved) if not LEFT_TO_TORCH.match(b)]


def _write(lock: Path, blocks: list[str]) -> None:
    lock.write_text("\n".join(blocks).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
