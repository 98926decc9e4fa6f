"""`python -m foveate`: the command line."""

import sys

from foveate.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
