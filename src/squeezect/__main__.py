"""Runs the command line with ``python -m squeezect``."""

from squeezect.cli import main

main()
