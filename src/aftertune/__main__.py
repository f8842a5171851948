"""`python -m aftertune`, as launchers of several processes start it."""

from aftertune.cli.main import main

if __name__ == "__main__":
    main()
