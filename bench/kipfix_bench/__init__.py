"""The benchmark of whole programs: kipfix's daemons next to other people's."""
