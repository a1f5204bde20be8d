"""``python -m neuroattn.evaluation digits``: how well networks do, side by side on the same composites."""

from __future__ import annotations

import sys
from pathlib import Path

from neuroattn.command_line import read_options, run_command, stop
from neuroattn.evaluation.config import DigitsConfig

PROG = "python -m neuroattn.evaluation"
DESCRIPTION = """Show composites of digits to networks, the same to all: accuracy overall and per phase, how often
every object is named and covered, which side is attended first, and the contrast of the image's gate."""


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv[:1] in (["-h"], ["--help"], []):
        print(f"usage: {PROG} digits [options]\n\n  digits  {DESCRIPTION}\n\nSee {PROG} digits --help.")
        raise SystemExit(0 if argv else 2)
    if argv[0] != "digits":
        stop(f"what to evaluate on must be digits, got {argv[0]!r}")
    config = read_options(DigitsConfig, argv[1:], prog=f"{PROG} digits", description=DESCRIPTION)
    run_command(lambda: evaluate_digits(config), interrupted=lambda: "nothing was kept")


def evaluate_digits(config: DigitsConfig) -> None:
    """Evaluate the networks, print the table, and write it where the user asked for a file."""
    import pandas as pd
    import torch

    from neuroattn.device import choose_device
    from neuroattn.evaluation.digits import evaluate
    from neuroattn.models.checkpoint import load_models
    from neuroattn.models.config import n_digits
    from neuroattn.stimuli.digits import sample_composites
    from neuroattn.stimuli.mnist import load

    if config.out is not None and Path(config.out).exists():
        raise ValueError(f"out must be a file that does not exist, got {config.out!r}")
    if config.out is not None and not Path(config.out).parent.is_dir():
        raise ValueError(f"out must be in a folder that exists, got {config.out!r}")
    device = choose_device(config.device)
    models = load_models(config.model, device=device, strength=config.strength)
    numbers = {model.name: n_digits(model.config, model.name) for model in models}
    digits = load(config.data, config.digits)
    number = config.composites or len(digits)
    tables = []
    for model in models:
        generator = torch.Generator().manual_seed(config.seed)  # anew for every network: the same composites for all
        shown = sample_composites(
            digits, number, n_objects=numbers[model.name], noise=config.noise, generator=generator, device=device
        )
        tables.append(evaluate(model, shown))
    table = pd.concat(tables, ignore_index=True)
    print(f"{number} composites of {digits.source}, noise {config.noise:g}, seed {config.seed}\n")
    for name, rows in table.groupby("model", sort=False):
        columns = ["what", "estimate", "interval_low", "interval_high", "sd", "n", "note"]
        print(f"{name}\n{rows[columns].to_string(index=False, na_rep='', float_format='{:.4f}'.format)}\n")
    if config.out is not None:
        table.to_csv(config.out, index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
