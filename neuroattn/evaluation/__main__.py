"""``python -m neuroattn.evaluation digits|scenes|gain|card|scenes-card``: how well networks do on the same pictures."""

from __future__ import annotations

import sys

from neuroattn.command.actions import Action, run_action
from neuroattn.command.line import tell
from neuroattn.evaluation.config import (
    CardConfig,
    DigitsConfig,
    ScenesCardConfig,
    ScenesConfig,
)
from neuroattn.evaluation.gain_config import GainEvaluationConfig


def _evaluate(config: DigitsConfig | ScenesConfig, _: list[str]) -> None:
    from neuroattn.evaluation.run import evaluate_networks

    evaluate_networks(config, tell)


def _gain(config: GainEvaluationConfig, _: list[str]) -> None:
    from neuroattn.evaluation.gain import evaluate_gain

    evaluate_gain(config, tell)


def _card(config: CardConfig | ScenesCardConfig, _: list[str]) -> None:
    from neuroattn.evaluation.run import write_card

    write_card(config, tell)


ACTIONS = {
    "digits": Action(
        config=DigitsConfig,
        description=(
            "Show composites of digits to networks, the same to all: accuracy overall and per phase, how often "
            "every object is named and covered, which side is attended first, and the contrast of the image's "
            "gate."
        ),
        run=_evaluate,
    ),
    "scenes": Action(
        config=ScenesConfig,
        description=(
            "Show scenes of COCO to networks, the same to all: accuracy overall, per phase and per class, against "
            "chance, how often every object is covered, the contrast of the image's gate, and the gate as a "
            "segmentation of the attended object, scored by COCO's own code."
        ),
        usage="--models NAME --images DIR --annotations FILE [options]",
        run=_evaluate,
        interrupted=lambda *_: "pictures that are made are kept",
    ),
    "gain": Action(
        config=GainEvaluationConfig,
        description=(
            "Detection of every class in composites by plain networks, without attention and with a gain on their "
            "units by what they prefer or by place: performance, sensitivity, criterion, by layer and sign, with "
            "controls and verdicts over networks; and their model card (--card)."
        ),
        run=_gain,
    ),
    "card": Action(
        config=CardConfig,
        description=(
            "Evaluate networks on MNIST's official test set and write their model card, in Markdown: data, "
            "recipe, time, machine, accuracy, which side is attended first, contrast of the gate, hashes."
        ),
        run=_card,
    ),
    "scenes-card": Action(
        config=ScenesCardConfig,
        description=(
            "Evaluate networks on the scenes that their own training held out and write their model card, in "
            "Markdown, with other networks beside them on the same scenes."
        ),
        usage="--images DIR --annotations FILE [options]",
        run=_card,
        interrupted=lambda *_: "pictures that are made are kept",
    ),
}


def main(argv: list[str]) -> None:
    """Run the command with the arguments after the program's name."""
    run_action("python -m neuroattn.evaluation", "what to do", ACTIONS, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
