"""A script that turns a GGUF file into a model folder for vLLM; run with the engine's Python.

    python vllm_convert_gguf.py SOURCE.gguf TARGET_FOLDER

vLLM's own GGUF support left its core. This script is never imported by zsrec: torch and transformers
exist only in the engine's environment.
"""

from __future__ import annotations

import sys
from pathlib import Path


def convert(source: Path, target: Path) -> None:
    """Write the weights as bfloat16 safetensors into `target`, with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, file = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.bfloat16)
    # The loaded weights are plain bfloat16, but the model still says that it is quantized, and then
    # save_pretrained refuses.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    if not tokenizer.chat_template:
        raise RuntimeError(f"{source} carries no chat template")
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
