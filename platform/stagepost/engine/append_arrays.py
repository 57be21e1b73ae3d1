"""A batch as the parallel arrays that the SQL function `append` takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stagepost.engine.batch import Batch, Commit, Cursor, Outgoing, TimerSet


def arrays_of(batch: Batch) -> list[object]:
    """Return the arguments of `append`, in its order; commits count from 1."""
    commits = list(enumerate(batch.commits, start=1))
    lease = batch.lease
    return [
        lease.name if lease else None,
        lease.epoch if lease else None,
        *_transposed((_commit_row(commit) for commit in batch.commits), 20),
        *_transposed((row for n, commit in commits for row in _event_rows(n, commit)), 5),
        *_transposed(((n, *_sent_row(sent)) for n, c in commits for sent in c.sends), 11),
        *_transposed(((n, *_timer_row(timer)) for n, c in commits for timer in c.timers), 7),
        *_transposed(
            (
                (n, i.key, i.fingerprint, i.response)
                for n, c in commits
                if (i := c.idempotency) is not None
            ),
            4,
        ),
        *_transposed((_cursor_row(cursor) for cursor in batch.cursors), 7),
        *_transposed(batch.retries, 3),
    ]


def _event_rows(number: int, commit: Commit) -> Iterable[tuple[object, ...]]:
    """Return the checks first: they must hold before anything of the commit has happened."""
    for stream, version in commit.checks:
        yield number, stream, version, None, None
    for e in commit.events:
        yield number, e.originator_id, e.originator_version, e.topic, e.state


def _sent_row(sent: Outgoing) -> tuple[object, ...]:
    return (
        sent.id,
        sent.channel,
        sent.kind,
        sent.type,
        sent.version,
        sent.key,
        sent.recipient,
        sent.body,
        sent.lane,
        sent.supersedes,
    )


def _timer_row(timer: TimerSet) -> tuple[object, ...]:
    return timer.id, timer.type, timer.version, timer.key, timer.body, timer.delay


def _cursor_row(cursor: Cursor) -> tuple[object, ...]:
    name = cursor.id
    place = name.reader, name.source, name.incarnation, name.partition
    return *place, cursor.at, cursor.to, cursor.hint


def _commit_row(commit: Commit) -> tuple[object, ...]:
    cause = commit.cause
    return (
        cause.id,
        cause.type,
        cause.kind,
        cause.source,
        cause.key,
        cause.correlation,
        cause.causation,
        cause.incarnation,
        cause.position,
        cause.version,
        cause.recipient,
        cause.traceparent,
        cause.body if commit.parks else None,
        commit.handled,
        commit.detail,
        commit.clears,
        commit.call,
        commit.parks,
        commit.redrives,
        None if commit.cursor is None else commit.cursor + 1,
    )


def _transposed(rows: Iterable[Sequence[object]], width: int) -> list[list[object]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]
