"""The data that words name becomes its control runs in MLflow: majority class and linear SVM."""

from pathlib import Path

from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "baselines"]

HELP = """\
Train what a recurrent classifier must beat on the same splits: the majority class, and TF-IDF of
1-2-grams with a linear SVM. Both take seconds to a minute and are runs in MLflow.

  nlp-rnn baselines data=files data.path=reviews.csv data.text=review data.label=stars
  nlp-rnn baselines data=imdb tracking.experiment=imdb

Takes data=…, data.…=…, tracking.uri and tracking.experiment. A control that the experiment has
already for the same splits is shown and not trained again. A sweep adds its controls by itself.
The third control is a network without recurrence: nlp-rnn train model=average
"""

ALLOWED = ("tracking.uri", "tracking.experiment")


def baselines(words: list[str]) -> int:
    """Run the command."""
    if not any(word.startswith("data=") for word in words):
        raise ConfigError(
            "baselines needs data.\n"
            "Type nlp-rnn baselines data=files data.path=FILE, or nlp-rnn baselines --help."
        )
    for word in words:
        key = word.partition("=")[0]
        if key not in ("data", *ALLOWED) and not key.startswith("data."):
            raise ConfigError(
                f"{word} has no effect on a control, which takes data.…, tracking.uri and "
                "tracking.experiment.\nFor a network without recurrence type nlp-rnn train "
                "model=average."
            )
    from nlp_rnn.baselines.fitting import CONTROLS
    from nlp_rnn.config.compose import make_paths_absolute
    from nlp_rnn.launch import compose
    from nlp_rnn.sweeps.baseline_runs import ensure_controls, read_corpus
    from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
    from nlp_rnn.tracking.uri import resolve_uri

    config = compose(words)
    make_paths_absolute(config)
    uri = resolve_uri(config.tracking.uri, Path.cwd())
    corpus = read_corpus(config.data)  # before a store is made: the data may not be there
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, experiment_name(config.tracking.experiment))
    several = corpus.task == "multi_label"
    made = ensure_controls(config, uri, experiment_id, names=CONTROLS, corpus=corpus)
    for name, control in made.items():
        metrics = control.metrics
        word, key = ("micro-F1", "micro_f1") if several else ("accuracy", "accuracy")
        print(
            f"{name:<9} test {word} {metrics[f'test/{key}']:.4f}  "
            f"macro-F1 {metrics['test/macro_f1']:.4f}  "
            f"trained in {metrics['train/seconds']:.1f} s"
            f"{'' if control.made else '  (was there)'}  run {control.run_id}"
        )
    return 0
