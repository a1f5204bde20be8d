"""``python -m neuroattn.experiments.reproduce``."""

from neuroattn.experiments.reproduce.run import main

if __name__ == "__main__":
    main()
