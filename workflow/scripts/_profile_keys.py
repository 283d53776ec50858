"""Keys that a profile may hold: the engine's own parser, with the flags of its plugins, says so."""

from snakemake.cli import get_argument_parser

parser = get_argument_parser()
for action in parser._actions:
    print(*parser.get_possible_config_keys(action), sep="\n")
