"""The command line, a module for each command.

Each has ``add(commands)``, which adds its parser, and imports what it needs only when
it is run, so that ``nengo-epes --help`` is quick.
"""
