"""The command line, a module for each command.

A module has ``add(commands)``, which adds its parser. It imports other modules when the
command runs, so that ``nengo-epes --help`` takes little time.
"""
