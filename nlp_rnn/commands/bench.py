"""placeholder."""

HELP = ""


def bench(words: list[str]) -> int:
    """Run the command."""
    return 0
