"""`python -m zsrec` is the same as `zsrec`."""

from zsrec.cli import main

main()
