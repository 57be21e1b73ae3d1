"""What a service tells about itself: structured logs, and metrics under names that stay."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from stagepost.engine.batch import Appended, Batch

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metrics:
    """The metrics of one service process; every name has the prefix stagepost_."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = {"service": service}

        def counter(name: str, about: str, *more: str) -> Counter:
            return Counter(f"stagepost_{name}", about, (*labels, *more), registry=self.registry)

        def gauge(name: str, about: str) -> Gauge:
            return Gauge(f"stagepost_{name}", about, tuple(labels), registry=self.registry).labels(
                **labels
            )

        def histogram(name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            made = Histogram(
                f"stagepost_{name}", about, tuple(labels), registry=self.registry, buckets=buckets
            )
            return made.labels(**labels)

        self._service = service
        self._messages = counter(
            "messages_handled_total", "Messages and requests handled, by outcome.", "outcome"
        )
        self._commits = counter("commits_total", "Commits by what became of them.", "outcome")
        self._sent = counter(
            "messages_sent_total", "Messages written to the outbox, by channel.", "channel"
        )
        self._relayed = counter("outbox_published_total", "Messages that the broker confirmed.")
        self._rewinds = counter(
            "relay_rewinds_total", "Times that the broker had lost messages and got them again."
        )
        self._attempts = counter(
            "calls_total", "Calls to the outside world, by result.", "to", "result"
        )
        self.batch_size = histogram("batch_commits", "Commits in one transaction.", _SIZES)
        self.append_seconds = histogram("append_seconds", "Time to append one batch.", _SECONDS)
        self.publish_seconds = histogram(
            "publish_seconds", "Time until the broker confirmed a chunk.", _SECONDS
        )
        self.leader = gauge("leader", "1 where this instance holds the lease.")
        self.has_room = gauge("room", "1 while there is room for new work, 0 while it is refused.")
        self.has_room.set(1)
        self._connected = Gauge(
            "stagepost_transport_connected",
            "1 where a transport is read from and written to.",
            (*labels, "transport"),
            registry=self.registry,
        )
        self.outbox_pending = gauge(
            "outbox_pending_messages", "Messages in the outbox that are not yet published."
        )
        self.calls_pending = gauge(
            "calls_pending", "Calls to the outside world that wait for an answer."
        )
        self.timers_pending = gauge("timers_pending", "Timers that are set.")
        self.dead_letters = gauge(
            "dead_letters", "Messages that wait for a person, or behind one that does."
        )

    def count(self, batch: Batch, appended: Appended) -> None:
        """Count one batch, at a cost per batch and not per label look-up."""
        self.batch_size.observe(len(batch.commits))
        handled: dict[str, int] = {}
        outcomes: dict[str, int] = {}
        channels: dict[str, int] = {}
        for commit, outcome in zip(batch.commits, appended.outcomes, strict=True):
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if outcome == "kept":
                handled[commit.handled] = handled.get(commit.handled, 0) + 1
                for sent in commit.sends:
                    channels[sent.channel] = channels.get(sent.channel, 0) + 1
        for counter, counts in (
            (self._messages, handled),
            (self._commits, outcomes),
            (self._sent, channels),
        ):
            for label, number in counts.items():
                counter.labels(self._service, label).inc(number)

    def published(self, number: int) -> None:
        self._relayed.labels(self._service).inc(number)

    def rewound(self) -> None:
        self._rewinds.labels(self._service).inc()

    def connected(self, transport: str, *, is_up: bool) -> None:
        self._connected.labels(self._service, transport).set(is_up)

    def called(self, to: str, result: str) -> None:
        self._attempts.labels(self._service, to, result).inc()

    def backlog(self, figures: dict[str, float]) -> None:
        """Set the gauges from what `Store.backlog` returned."""
        self.outbox_pending.set(figures["outbox_pending"])
        self.calls_pending.set(figures["calls_pending"])
        self.timers_pending.set(figures["timers_pending"])
        self.dead_letters.set(figures["dead_letters"])


# Without the values of variables: they may be somebody's address, and take milliseconds to write.
_TRACEBACKS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def configure_logging(level: str, **context: str) -> None:
    """Log one JSON object a line to standard error, each with this context.

    Batches are logged, not messages: what happened to one message is in the journal.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_TRACEBACKS),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(**context)
