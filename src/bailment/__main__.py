"""`python -m bailment`."""

from bailment.cli.main import main

main()
