"""`python -m wippy_trio`."""

import gc

from wippy_trio.cli.main import main

if __name__ == "__main__":
    # Starting makes many objects that all stay: collecting while they are made only costs time (about a tenth).
    gc.disable()
    main()
