"""`python -m csms`: the same as the console script."""

from csms.cli.main import main

main()
