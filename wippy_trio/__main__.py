"""`python -m wippy_trio`."""

from wippy_trio.cli.main import main

if __name__ == "__main__":
    main()
