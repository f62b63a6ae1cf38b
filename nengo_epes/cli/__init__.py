"""What the command line can do, a module a command.

Each has ``add(commands)``, which adds its parser, and imports what it needs only when
it is run, so that ``nengo-epes --help`` is quick.
"""
