"""The corpus: clean train, validation and test splits with label ids, made from a source.

`corpus.load_corpus` is the entry. It uses `label_columns`, `quality`, `splitting` and `digest`.
"""
