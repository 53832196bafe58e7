"""Inspection of single texts: the function behind `nlp_rnn.inspect` and its command."""

import html
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.inspection.inspection import InspectedModel, Inspection

    Classifier = TextClassifier | str | os.PathLike[str]

__all__ = ["MAX_TEXTS", "Inspections", "inspect"]

MAX_TEXTS = 20
"""Texts on one page."""


@dataclass(frozen=True, repr=False)
class Inspections(Sequence["Inspection"]):
    """Inspections of some texts by one or two classifiers.

    It is a sequence: of the first text the inspection by each classifier, then of the next text. An
    inspection has `probabilities`, `attribution`, `layers` (gates and states) and `over_time`.

    Attributes
    ----------
    texts : tuple of str
        The texts.
    models : tuple of InspectedModel
        The classifiers.
    by_text : tuple of tuple of Inspection
        For each text, the inspection by each classifier.
    paths : tuple of Path
        The HTML page and its figures.

    Examples
    --------
    >>> import nlp_rnn
    >>> inspections = nlp_rnn.inspect("reviews", "Warm, quick and on time.")
    >>> inspections.page.name
    'inspection.html'
    >>> inspections[0].label
    'positive'
    """

    texts: tuple[str, ...]
    models: "tuple[InspectedModel, ...]"
    by_text: "tuple[tuple[Inspection, ...], ...]"
    paths: tuple[Path, ...]

    @property
    def page(self) -> Path:
        """The HTML page, which needs no other file."""
        return self.paths[0]

    @property
    def tokens(self) -> "pd.DataFrame":
        """One row for each token: its attribution to the predicted label of its text.

        The columns are `text` (number of the text), `classifier`, `token`, `attribution`
        (integrated gradients) and `occlusion` (decrease of the log-odds without the token).
        """
        import pandas as pd

        rows = []
        for number, of_text in enumerate(self.by_text):
            for one in of_text:
                text, attribution = one.tokens.text, one.attribution
                rows += [
                    {
                        "text": number,
                        "classifier": one.model.name,
                        "token": text[start:end],
                        "attribution": float(attribution.integrated[0, index]),
                        "occlusion": float(attribution.occluded[0, index]),
                    }
                    for index, (start, end) in enumerate(
                        zip(one.tokens.starts, one.tokens.ends, strict=True)
                    )
                ]
        return pd.DataFrame(rows)

    def _flat(self) -> "list[Inspection]":
        return [one for of_text in self.by_text for one in of_text]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._flat()[index]

    def __len__(self) -> int:
        return len(self.texts) * len(self.models)

    def __iter__(self) -> "Iterator[Inspection]":
        return iter(self._flat())

    def __repr__(self) -> str:
        """Return the predictions for the texts, and the path of the page."""
        lines = [
            "\t".join(
                [*(f"{one.label} {one.probabilities.max():.4f}" for one in of_text), text[:60]]
            )
            for text, of_text in zip(
                (" ".join(text.split()) for text in self.texts), self.by_text, strict=True
            )
        ]
        return "\n".join([*lines, f"page          {self.page}"])

    def _repr_html_(self) -> str:
        """Return the page for notebooks."""
        page = html.escape(self.page.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" width="100%" height="700" style="border:0"></iframe>'


def inspect(
    classifier: "Classifier | Sequence[Classifier]",
    texts: str | Sequence[str],
    *,
    output_dir: "str | os.PathLike[str]" = "inspection",
    over_time: bool = False,
) -> Inspections:
    """Show how a classifier processes single texts, as `nlp-rnn inspect` does.

    Parameters
    ----------
    classifier : TextClassifier, str or path, or list of two of them
        A loaded classifier, or one of the locations of `nlp_rnn.load`. Two are set side by side.
    texts : str or list of str
        One text, or up to 20.
    output_dir : str or path, default "inspection"
        Folder of the HTML page and its figures.
    over_time : bool, default False
        Raise an error if the probabilities after each token are not available.

    Returns
    -------
    Inspections
        The inspections, with the path of the page.

    Raises
    ------
    ClassifierError
        There is no classifier; or with `over_time`, it is bidirectional.
    ConfigError
        There are too many classifiers or texts.

    Examples
    --------
    >>> import nlp_rnn
    >>> inspections = nlp_rnn.inspect("reviews", "Warm and late.")
    >>> inspections.tokens[["token", "attribution"]].round(1)
      token  attribution
    0  Warm         -1.5
    1   and          0.0
    2  late          2.0
    3     .          0.0
    """
    locations = _locations(classifier)
    several = [texts] if isinstance(texts, str) else list(texts)
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output {folder} is a file.\nSet --output to a folder.")
    if not several:
        raise ConfigError("inspect needs a text.\nPass one.")
    if len(several) > MAX_TEXTS:
        raise ConfigError(
            f"A page holds at most {MAX_TEXTS} texts, but {len(several)} were selected.\n"
            "Select fewer texts."
        )
    from nlp_rnn.inspection.inspection import inspect_text, load_model, probabilities_over_time
    from nlp_rnn.inspection.page import preload_drawing, write_page

    models = tuple(load_model(location) for location in locations)
    if over_time:
        import numpy as np

        for model in models:
            probabilities_over_time(model, np.array([1], dtype=np.int64))
    with ThreadPoolExecutor(1) as executor:  # its imports take as long as a text
        executor.submit(preload_drawing)
        by_text = tuple(tuple(inspect_text(model, text) for model in models) for text in several)
    return Inspections(tuple(several), models, by_text, tuple(write_page(folder, by_text)))


def _locations(classifier: "Classifier | Sequence[Classifier]") -> "list[str | os.PathLike[str]]":
    from nlp_rnn.classifier.predictor import TextClassifier

    single = isinstance(classifier, str | os.PathLike | TextClassifier)
    classifiers = [classifier] if single else list(classifier)  # type: ignore[arg-type]
    if not 1 <= len(classifiers) <= 2:
        raise ConfigError(
            f"inspect needs one or two classifiers; found {len(classifiers)}.\nPass one or two."
        )
    return [
        one.location if isinstance(one, TextClassifier) else one  # type: ignore[misc]
        for one in classifiers
    ]
