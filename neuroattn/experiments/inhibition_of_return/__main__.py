"""``python -m neuroattn.experiments.inhibition_of_return``."""

from neuroattn.experiments.inhibition_of_return.protocol import PROTOCOL
from neuroattn.experiments.line import main

if __name__ == "__main__":
    main(PROTOCOL)
