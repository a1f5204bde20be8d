"""Virtual electrophysiology of object-based attention in recurrent gated networks.

Public names stand in ``__init__.pyi``. They and the sub-packages load when they are first used, so that
``import neuroattn`` is quick and does not load torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
