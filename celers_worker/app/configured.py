"""Handlers as the configuration has them: what a person set goes before what the code declares."""

from __future__ import annotations

from dataclasses import replace

from celers_worker.config import Config
from celers_worker.config.tables import HandlerSettings
from celers_worker.core.backoff_text import parse_backoff
from celers_worker.core.handler import Handler
from celers_worker.core.names import split_version
from celers_worker.core.retry import RetryPolicy
from celers_worker.core.routing import Routes


def with_settings(handler: Handler, config: Config, routes: Routes) -> Handler:
    """*handler* with what *config* sets for it or its stem, and the queue of its route."""
    stem, _ = split_version(handler.name)
    settings = config.handlers.get(handler.name) or config.handlers.get(stem) or HandlerSettings()
    if (queue := routes.queue_of(handler.name)) is not None:
        handler = replace(handler, queue=queue)
    if config.has_backoffs:
        handler = replace(handler, retry=_policy(handler, config, settings))
    retries = settings.max_retries
    return replace(
        handler,
        concurrency=settings.concurrency or handler.concurrency,
        circuit=settings.circuit(handler.circuit),
        timeout=settings.timeout or handler.timeout,
        memory=settings.memory or handler.memory if handler.runs == "process" else None,
        max_retries=handler.max_retries if retries is None else retries,
        max_arguments=config.limits.arguments,
        max_result=config.limits.result,
    )


def _policy(handler: Handler, config: Config, settings: HandlerSettings) -> RetryPolicy:
    """The handler's policy with the backoffs of the configuration, its own first."""
    policy = handler.retry
    own = settings.backoff
    return replace(
        policy,
        backoff=parse_backoff(own) if own else policy.backoff,
        by_queue={
            name: parse_backoff(queue.backoff)
            for name, queue in config.queues.items()
            if queue.backoff
        },
        otherwise=parse_backoff(config.worker.backoff)
        if config.worker.backoff
        else policy.otherwise,
    )
