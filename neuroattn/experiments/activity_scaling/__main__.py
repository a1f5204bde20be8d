"""``python -m neuroattn.experiments.activity_scaling``."""

from neuroattn.experiments.activity_scaling.protocol import PROTOCOL
from neuroattn.experiments.line import main

if __name__ == "__main__":
    main(PROTOCOL)
