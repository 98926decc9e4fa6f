"""Foveate: fine-grained image recognition that looks closer and shows why.

The public names, all of which are listed in `__init__.pyi`, are imported when they are first used: the command line
starts without torch.

>>> import foveate
>>> model = foveate.load("runs/mine")
>>> model.predict("bird.jpg").best.class_name in model.class_names
True
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
