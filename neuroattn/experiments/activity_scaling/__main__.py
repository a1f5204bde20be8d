"""``python -m neuroattn.experiments.activity_scaling``."""

from neuroattn.experiments.activity_scaling.protocol import PROTOCOL
from neuroattn.experiments.protocol import main

if __name__ == "__main__":
    main(PROTOCOL)
