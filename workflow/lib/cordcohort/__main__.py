"""``python -m cordcohort`` is the command ``cordcohort``."""

from cordcohort.cli import main

if __name__ == "__main__":
    main()
