"""``python -m neuroattn``: the command ``neuroattn``."""

from neuroattn.command.verbs import main

if __name__ == "__main__":
    main()
