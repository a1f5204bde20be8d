"""A plain convolutional network with a gain as a subject: the positive control that is gain modulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuroattn.subjects.gain import feature_gain, place_gain
from neuroattn.subjects.timed_module import TimedModule

if TYPE_CHECKING:
    from neuroattn.models.gain_cnn import Attention, GainCNN


def gain_subject(network: GainCNN, attention: Attention | None = None) -> TimedModule:
    """Return a network as a subject that can be cued to an object, by its class or by its side.

    The modulation index of a unit of the layer on which the gain acts is known: for place gain β, for feature gain
    β(f - g)/(2 + β(f + g)) of a picture, with f and g its channel's tuning to the attended and the other object's
    class. Layers below it do not change. The untrained control has drawn weights, and keeps the tuning of the network.

    Parameters
    ----------
    network
        The network.
    attention
        How attention acts; None: the network's own, which its name may say (``gaincnn-0:place,layer=1,strength=0.4``)
        and which is feature gain at the last stage, β 0.5, where it does not.

    Examples
    --------
    >>> import neuroattn
    >>> gain_subject(neuroattn.load_model("gaincnn-0:place")).layers["stage4/response"]
    (64, 7, 10)
    """
    how = network.attention if attention is None else attention
    stages = range(1, len(network.stages) + 1)
    path = {number: f"stages.{number - 1}.response" for number in stages}
    at, strength = ([how.layer], how.strength) if how.layer else ([*stages], how.strength / 10)
    cue = (
        place_gain([path[number] for number in at], strength, positive_only=how.positive_only)
        if how.kind == "place"
        else feature_gain(
            {path[number]: network.tuning(number) for number in at}, strength, positive_only=how.positive_only
        )
    )
    subject = TimedModule(
        network,
        variables={f"stage{number}/response": path[number] for number in stages},
        name=network.name,
        seed=network.seed,
        cue=cue,
    )
    return subject.known(network.about, network.config.classes).facing(network.config.size)
