"""``python -m neuroattn.experiments.tuning``."""

from neuroattn.experiments.line import main
from neuroattn.experiments.tuning.protocol import PROTOCOL

if __name__ == "__main__":
    main(PROTOCOL)
