"""One recommender for many users: the REST service (`app`, extra `serve`) and batch jobs (`batch_job`).

request ─► limits ─► key ─► queue ─► breaker ─► recommender, until the deadline ─► answer
                                        └────────── retrieval order, marked degraded ──┘
"""
