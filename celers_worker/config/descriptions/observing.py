"""What is seen from outside: metrics and logs."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions.description import Description

DESCRIPTIONS: Mapping[str, Description] = {
    "metrics.host": Description(
        "The address to serve metrics and health at.",
        'Set it to "0.0.0.0" if Prometheus or the probes come from another host.',
    ),
    "metrics.port": Description(
        "The port to serve metrics and health at; 0 takes a free one.",
        "Set it to turn the server on.",
        example="9464",
    ),
    "metrics.drain_target": Description(
        "celers_desired_workers is how many would do what is due within this time.",
        "Set it to what an autoscaler should aim at.",
    ),
    "log.level": Description(
        "The least important lines to write: debug, info, warning or error.",
        "Set it to debug to follow single tasks, to warning to save space.",
    ),
    "log.format": Description(
        "console for people, json for machines; auto: console on a terminal, else json.",
        "Set it if the place where the logs go wants one of them.",
    ),
    "log.keep_lines": Description(
        "How many lines that a handler logs are kept with its task for each run; 0 keeps none.",
        "Raise it if handlers have more to say. Half are the first lines, half the last ones; see "
        "`celers task logs`.",
    ),
    "log.keep_bytes": Description(
        "How many bytes of these lines are kept for each run.",
        "Lower it to save space; they are kept as long as their tasks.",
    ),
}
