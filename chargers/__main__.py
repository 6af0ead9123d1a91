"""`python -m chargers`: the same as the console script."""

from chargers.cli import main

main()
