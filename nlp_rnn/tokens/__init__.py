"""Tokens: a corpus as token ids, word vectors for its vocabulary, and padded batches.

Order of use: `tokenizer` or `existing_tokenizer`, `tokenization`, `word_vectors`, `batches`.
"""
