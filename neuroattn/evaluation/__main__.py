"""``python -m neuroattn.evaluation digits|scenes|card|scenes-card``: how well networks do on the same pictures."""

from __future__ import annotations

import sys

from neuroattn.command.line import read_options, run_command, stop, tell
from neuroattn.command.program import program
from neuroattn.evaluation.config import CardConfig, DigitsConfig, ScenesCardConfig, ScenesConfig

PROG = program("python -m neuroattn.evaluation")
DIGITS = """Show composites of digits to networks, the same to all: accuracy overall and per phase, how often every
object is named and covered, which side is attended first, and the contrast of the image's gate."""
SCENES = """Show scenes of COCO to networks, the same to all: accuracy overall, per phase and per class, against chance,
how often every object is covered, the contrast of the image's gate, and the gate as a segmentation of the attended
object, scored by COCO's own code."""
CARD = """Evaluate networks on MNIST's official test set and write their model card, in Markdown: data, recipe, time,
machine, accuracy, which side is attended first, contrast of the gate, hashes."""
SCENES_CARD = """Evaluate networks on the scenes that their own training held out and write their model card, in
Markdown, with other networks beside them on the same scenes."""
USAGE = f"""usage: {PROG} digits [options]
       {PROG} scenes --models NAME --images DIR --annotations FILE [options]
       {PROG} card [options]
       {PROG} scenes-card --images DIR --annotations FILE [options]

  digits  {DIGITS}
  scenes  {SCENES}
  card    {CARD}
  scenes-card  {SCENES_CARD}

Each has --help."""


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    if argv[:1] in (["-h"], ["--help"], []):
        tell(USAGE)
        raise SystemExit(0 if argv else 2)
    if argv[0] == "digits":
        digits = read_options(DigitsConfig, argv[1:], prog=f"{PROG} digits", description=DIGITS)
        run_command(lambda: _evaluate(digits), interrupted=lambda: "nothing was kept")
    if argv[0] == "scenes":
        scenes = read_options(ScenesConfig, argv[1:], prog=f"{PROG} scenes", description=SCENES)
        run_command(lambda: _evaluate_scenes(scenes), interrupted=lambda: "pictures that are made are kept")
    if argv[0] == "card":
        card = read_options(CardConfig, argv[1:], prog=f"{PROG} card", description=CARD)
        run_command(lambda: _write_card(card), interrupted=lambda: "nothing was kept")
    if argv[0] == "scenes-card":
        scenes_card = read_options(ScenesCardConfig, argv[1:], prog=f"{PROG} scenes-card", description=SCENES_CARD)
        run_command(lambda: _write_scenes_card(scenes_card), interrupted=lambda: "pictures that are made are kept")
    stop(f"what to do must be digits, scenes, card or scenes-card, got {argv[0]!r}")


def _evaluate(config: DigitsConfig) -> None:
    from neuroattn.evaluation.run import evaluate_digits

    evaluate_digits(config, tell)


def _evaluate_scenes(config: ScenesConfig) -> None:
    from neuroattn.evaluation.scenes_run import evaluate_on_scenes

    evaluate_on_scenes(config, tell)


def _write_card(config: CardConfig) -> None:
    from neuroattn.evaluation.run import write_card

    write_card(config, tell)


def _write_scenes_card(config: ScenesCardConfig) -> None:
    from neuroattn.evaluation.scenes_run import write_scenes_card

    write_scenes_card(config, tell)


if __name__ == "__main__":
    main(sys.argv[1:])
