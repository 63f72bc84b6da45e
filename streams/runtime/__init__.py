"""The chunked Faust runtime: roles are written as `decide` and effects (role.py), everything durable happens here.

Its rules, each with the module that keeps it:

1. Effects, then state, then offsets; a crash in between is harmless.                       group_commit
2. Deciding again gives the same: `now` is the record's timestamp.                          role
3. The source offset kept with each value distinguishes redelivery and caller's repeat.     tables, decide
4. A chunk is handed over whole; an offset never passes an unfinished chunk.                decide, offset_ledger
5. What cannot be decided is set aside; a role that rejects everything stops.               rejected
6. State lives and leaves with its partition; every queue, group and batch is bounded, and
   tables that may outgrow memory move to local disk.                     tables, spilling, partitions, limits
7. Records of a worker that lost its partitions count nowhere: a lease before each step, a
   claim at each takeover, an epoch in each record; keys they overwrote are written again.  lease, claim, late_writes
8. State is read as it was written; a difference is counted, and fails a test.              invariants

Overrides of Faust and aiokafka are in `transport`; tests/unit/runtime/transport/test_overrides.py shows each stock
behaviour that made one necessary. `run.run_role` is the way in, `metrics` names what a worker reports.
"""
