"""`sluice torture`: a misbehaving receiver of webhooks, and a scorer that reads its log.

For any sender. The receiver writes down what arrived and what it answered, one JSON object a line (log.py here); the
scorer says from that alone what the sender did wrong: deliveries of one order out of order, gaps, calls before a
Retry-After was over, windows over budget, ids that changed on a retry, wrong signatures.
"""
