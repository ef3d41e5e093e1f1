"""The schedules of a worker: those of its code, as its configuration overrides and adds to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from celers_worker.config.settings import Config
from celers_worker.config.tables import ScheduleSettings
from celers_worker.core.cron import Cron
from celers_worker.core.duration import Duration
from celers_worker.core.errors import ConfigurationError, PayloadError
from celers_worker.core.handler import Handler
from celers_worker.core.names import nearest
from celers_worker.core.options import Options
from celers_worker.core.payload import decode
from celers_worker.core.policies import DEFAULT_POLICIES, Policies, policies_of
from celers_worker.core.schedule import Schedule, Source, make_schedule
from celers_worker.core.timing import Every, Timing, timing_of


def declared_schedules(
    config: Config,
    declared: Mapping[str, Schedule],
    handler_of: Callable[[str], Handler | None],
) -> list[Schedule]:
    """Return the schedules that are enabled, with the options of their handlers.

    Where [schedules.NAME] says something about one of those *declared*, that goes before the code.
    Raises ConfigurationError with the problems of all of them.
    """
    found: list[Schedule] = []
    problems: list[str] = []
    for name in dict.fromkeys([*declared, *config.schedules]):
        settings = config.schedules.get(name)
        if settings is not None and not settings.enabled:
            continue
        try:
            found.append(_merged(name, declared.get(name), settings, declared, handler_of))
        except PayloadError as error:
            problems.append(f"the schedule {name!r}: {error}")
        except ConfigurationError as error:
            prefix = "" if settings is None else f"[schedules.{name}]: "
            problems += [f"{prefix}{problem}" for problem in error.problems]
    if problems:
        raise ConfigurationError(*problems)
    return found


def _merged(
    name: str,
    code: Schedule | None,
    settings: ScheduleSettings | None,
    declared: Mapping[str, Schedule],
    handler_of: Callable[[str], Handler | None],
) -> Schedule:
    settings = settings or ScheduleSettings()
    task = settings.task or (code.task if code else name)
    arguments = settings.arguments
    if arguments is None and code is not None:
        arguments = decode(code.payload)
    return make_schedule(
        name,
        task,
        _timing(name, code, settings, declared),
        arguments=arguments,
        options=_options(settings).over(code.options if code else Options()),
        policies=_policies(settings, code.policies if code else DEFAULT_POLICIES),
        handler=handler_of(task),
        source=Source.CODE if settings == ScheduleSettings() else Source.CONFIGURATION,
    )


def _timing(
    name: str, code: Schedule | None, settings: ScheduleSettings, declared: Mapping[str, Schedule]
) -> Timing:
    cron, every, zone = settings.cron, settings.every, settings.timezone
    if code is None and cron is None and every is None:
        raise ConfigurationError(
            f"set cron or every, for the code declares no schedule {name!r}."
            f"{nearest(name, declared)}"
        )
    if code is not None and cron is None and every is None:
        if zone is None:
            return code.timing
        if isinstance(code.timing, Every):
            raise ConfigurationError("timezone is for cron; an interval has none.")
        return Cron(code.timing.expression, zone)
    if zone is None and cron is not None and code and isinstance(code.timing, Cron):
        zone = code.timing.timezone
    return timing_of(cron=cron, every=every, timezone=zone)


def _options(settings: ScheduleSettings) -> Options:
    return Options(
        queue=settings.queue,
        priority=settings.priority,
        max_retries=settings.max_retries,
        timeout=settings.timeout,
        expires=settings.expires,
    )


def _policies(settings: ScheduleSettings, code: Policies) -> Policies:
    def chosen(name: str) -> Any:
        value: str | Duration | timedelta | None = getattr(settings, name)
        return getattr(code, name) if value is None else value

    return policies_of(
        misfire=chosen("misfire"),
        misfire_after=chosen("misfire_after"),
        catch_up=chosen("catch_up"),
        overlap=chosen("overlap"),
        jitter=chosen("jitter"),
    )
