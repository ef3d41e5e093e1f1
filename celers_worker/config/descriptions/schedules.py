"""Schedules."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions.description import Description

DESCRIPTIONS: Mapping[str, Description] = {
    "schedules.NAME.enabled": Description(
        "Whether it fires.",
        "Set it to false where a schedule of the code is not wanted, as on a test system.",
    ),
    "schedules.NAME.task": Description(
        "The task to enqueue; not set: the one called as the schedule. Not set by default.",
        "Set it if the schedule has another name.",
        example='"send_report"',
    ),
    "schedules.NAME.cron": Description(
        "When it fires: minute, hour, day, month, day of the week, or @daily and the like.",
        "Set this or every.",
        example='"30 2 * * MON-FRI"',
    ),
    "schedules.NAME.every": Description(
        "How often it fires, aligned: 15m is at :00, :15, :30 and :45.",
        "Set this or cron; both cannot be set.",
        example='"15m"',
    ),
    "schedules.NAME.timezone": Description(
        "The IANA time zone whose clocks cron means; UTC unless the code says otherwise.",
        "Set it if people expect the task at a time of their day.",
        example='"Europe/Berlin"',
    ),
    "schedules.NAME.arguments": Description(
        "The arguments of the task.",
        "Set them if its handler takes any.",
        example='{ kind = "daily" }',
    ),
    "schedules.NAME.queue": Description(
        "The queue of its tasks; not set: that of the handler. Not set by default.",
        "Set it to run them elsewhere.",
        example='"reports"',
    ),
    "schedules.NAME.priority": Description(
        "The priority of its tasks; higher runs first.",
        "Set it if they should not wait behind others.",
        example="5",
    ),
    "schedules.NAME.max_retries": Description(
        "Runs of its tasks after the first.",
        "Set it to 0 if the next tick does as well.",
        example="0",
    ),
    "schedules.NAME.timeout": Description(
        "How long a run of its tasks may take.",
        "Set it below the time between two ticks.",
        example='"5m"',
    ),
    "schedules.NAME.expires": Description(
        "How long after its tick a task may start.",
        "Set it if a task is worth nothing when the next one comes.",
        example='"1h"',
    ),
    "schedules.NAME.misfire": Description(
        "What becomes of ticks that no worker dealt with in time: skip, once or all.",
        "Set it to all if each tick counts, to skip if none does once it is over. Once is usual.",
        example='"once"',
    ),
    "schedules.NAME.misfire_after": Description(
        "How late a tick may be and still be in time; 1m unless the code says otherwise.",
        "Raise it if workers are away for longer in a deployment.",
        example='"1m"',
    ),
    "schedules.NAME.catch_up": Description(
        "How many ticks are made up for at most, the newest; 100 unless the code says otherwise.",
        "Lower it if each costs much.",
        example="100",
    ),
    "schedules.NAME.overlap": Description(
        "What becomes of a tick while the last task has not ended: allow, skip or queue.",
        "Set it to skip or queue if two of them would get in each other's way.",
        example='"skip"',
    ),
    "schedules.NAME.jitter": Description(
        "Up to how long after its tick a task is due, at random.",
        "Set it if many schedules would start at the same moment.",
        example='"2m"',
    ),
}
