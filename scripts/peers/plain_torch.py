# /// script
# dependencies = ["torch==2.13.0", "numpy==2.4.6"]
# ///
"""Bidirectional classifier in PyTorch with packed sequences, as in its tutorials.

It uses shuffled batches from a DataLoader, `pad_sequence`, `pack_padded_sequence` and Adam.
"""

import time

import torch
from handover import arguments, read_facts, read_tokens, report
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader


class Classifier(nn.Module):
    """Linear layer on the final states of both directions of a recurrent layer."""

    def __init__(self, cell: str, vocab_size: int, size: int, num_labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, size, padding_idx=0)
        layer = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.rnn = layer(size, size, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(2 * size, num_labels)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits, float32 (batch, labels), of token ids, int64 (batch, time)."""
        embedded = self.dropout(self.embedding(ids))
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        _, state = self.rnn(packed)
        hidden = state[0] if isinstance(state, tuple) else state
        return self.linear(self.dropout(torch.cat([hidden[-2], hidden[-1]], dim=1)))


def collate(batch: list[tuple]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the ids padded to the longest text of the batch, the lengths, and the labels."""
    ids = [torch.from_numpy(text).long() for text, _ in batch]
    labels = torch.tensor([int(label) for _, label in batch])
    return pad_sequence(ids, batch_first=True), torch.tensor([len(text) for text in ids]), labels


def main() -> None:
    """Train, time every epoch, and evaluate once on the test split."""
    folder, cell, epochs, seed = arguments()
    facts = read_facts(folder)
    torch.manual_seed(seed)
    torch.set_num_threads(facts["cores"])
    batch_size = facts["batch_size"]
    train = list(zip(*read_tokens(folder, "train"), strict=True))
    test = list(zip(*read_tokens(folder, "test"), strict=True))
    train_loader = DataLoader(train, batch_size, shuffle=True, collate_fn=collate)
    test_loader = DataLoader(test, batch_size, collate_fn=collate)
    model = Classifier(cell, facts["vocab_size"], facts["size"], facts["num_labels"])
    optimizer = torch.optim.Adam(model.parameters())
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        model.train()
        for ids, lengths, labels in train_loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(ids, lengths), labels)
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    model.eval()
    correct = 0
    with torch.no_grad():
        for ids, lengths, labels in test_loader:
            correct += int((model(ids, lengths).argmax(1) == labels).sum())
    report(seconds, correct / len(test))


if __name__ == "__main__":
    main()
