"""``python -m neuroattn.experiments.cost_and_benefit``: run the protocol."""

from neuroattn.experiments.cost_and_benefit.protocol import PROTOCOL
from neuroattn.experiments.line import main

if __name__ == "__main__":
    main(PROTOCOL)
