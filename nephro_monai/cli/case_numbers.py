"""Case numbers as they are typed."""

from __future__ import annotations

import typer

__all__ = ["case_numbers"]


def case_numbers(text: str, option: str = "--cases") -> list[int]:
    """The case numbers of a text such as "210-299" or "0-4,7", in rising order.

    Raises:
        typer.BadParameter: If it is something else, or names no case.
    """
    from nephro_monai.phantom.cohort import parse_case_ranges

    try:
        numbers = sorted(parse_case_ranges(text))
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error
    if not numbers:
        raise typer.BadParameter(f"{option} names no case; give such as 0-299.")
    return numbers
