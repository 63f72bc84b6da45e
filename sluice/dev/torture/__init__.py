"""`sluice torture`: a misbehaving receiver of webhooks, and a scorer that reads its log.

Both are for any sender. The receiver logs each request and its answer, one JSON object a line (log.py); by that log
alone, the scorer counts what the sender did wrong: deliveries of one order out of sequence, gaps, calls before the end
of a Retry-After, windows over budget, ids that changed on a retry, wrong signatures.
"""
