"""The REST service: thin over `AsyncRecommender`, in one event loop.

    request ─► limits ─► key ─► queue ─► breaker ─► recommender, until the deadline ─► answer
                                            └────────── retrieval order, marked degraded ──┘

`app.create_app` makes it, `zsrec serve` runs it, docs/deployment.md describes it. It needs the extra `serve`.
"""
