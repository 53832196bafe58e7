"""The command `baselines`: train the majority label and linear models on a data set."""

from pathlib import Path

from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "baselines"]

HELP = """\
Train the baselines that a recurrent classifier must beat on the same splits: the majority label,
TF-IDF of 1-2-grams with a linear SVM, and n-gram models (model=ngrams). Each takes seconds to a
minute and is logged to MLflow.

  nlp-rnn baselines data=files data.path=reviews.csv data.text=review data.label=stars
  nlp-rnn baselines data=imdb tracking.experiment=imdb

Takes data=…, data.…=…, tracking.uri and tracking.experiment. A baseline that the experiment
already has for the same splits is shown and not trained again. A sweep trains its own baselines,
also a network without recurrence: nlp-rnn train model=average.
"""

ALLOWED = ("tracking.uri", "tracking.experiment")


def baselines(overrides: list[str]) -> int:
    """Run the command with its overrides and return the exit code."""
    for override in overrides:
        if "=" not in override:
            from nlp_rnn.config.hints import unknown_form

            raise unknown_form(override)
    if not any(override.startswith("data=") for override in overrides):
        raise ConfigError(
            "baselines needs data.\n"
            "Run nlp-rnn baselines data=files data.path=FILE, or nlp-rnn baselines --help."
        )
    for override in overrides:
        key = override.partition("=")[0]
        if key not in ("data", *ALLOWED) and not key.startswith("data."):
            raise ConfigError(
                f"{override} has no effect on a baseline, which takes data.…, tracking.uri and "
                "tracking.experiment.\nFor a network without recurrence, run nlp-rnn train "
                "model=average."
            )
    from nlp_rnn.config.compose import compose
    from nlp_rnn.runs.resolve import with_absolute_paths
    from nlp_rnn.sweeps.baseline_runs import ensure_baselines, read_corpus
    from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
    from nlp_rnn.tracking.tags import DATA_BASELINES
    from nlp_rnn.tracking.uri import resolve_uri

    config = compose(overrides)
    config = with_absolute_paths(config)
    uri = resolve_uri(config.tracking.uri, Path.cwd())
    corpus = read_corpus(config.data)  # before a store is made: the data may not be there
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, experiment_name(config.tracking.experiment, uri))
    metric = "micro_f1" if corpus.task == "multi_label" else "accuracy"
    runs = ensure_baselines(config, uri, experiment_id, names=DATA_BASELINES, corpus=corpus)
    for name, baseline in runs.items():
        metrics = baseline.metrics
        print(
            f"{name:<9} test {metric.replace('_f1', '-F1')} {metrics[f'test/{metric}']:.4f}  "
            f"macro-F1 {metrics['test/macro_f1']:.4f}  "
            f"trained in {metrics['train/seconds']:.1f} s"
            f"{'' if baseline.is_new else '  (already trained)'}  run {baseline.run_id}"
        )
    return 0
