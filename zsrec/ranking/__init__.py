"""Ranking without training: rankers that ask the model, and the fusion of its order with the retriever's."""
