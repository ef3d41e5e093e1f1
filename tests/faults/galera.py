"""A MariaDB Galera cluster of two nodes, each of which takes writes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Self

from tests import processes
from tests.faults.server import execute_as_root
from tests.servers import MariaDBServer, _free_port
from tests.waiting import eventually_sync

LIBRARY = Path("/usr/lib/galera/libgalera_smm.so")
_JOINING = Path(__file__).with_name("wsrep_sst_celers")
_JOIN_SECONDS = 60.0


class Node(MariaDBServer):
    """One node. The second begins with a copy of the first one's data."""

    name = "galera"

    def __init__(self, weight: int) -> None:
        super().__init__()
        self.weight = weight
        self.group_port = _free_port()
        shutil.copy(_JOINING, self.directory)  # where whoever runs the server may read it
        self.peers: list[Node] = []
        self.founds = False

    def _command(self) -> list[str]:
        options = ";".join(
            (
                f"pc.weight={self.weight}",
                f"base_port={self.group_port}",
                "gcache.size=32M",
                f"ist.recv_addr=127.0.0.1:{_free_port()}",
                # A node that fell silent is out after some seconds, and not after a minute.
                "evs.suspect_timeout=PT2S",
                "evs.inactive_timeout=PT4S",
                "evs.keepalive_period=PT0.5S",
                "gcomm.thread_prio=other:0",
            )
        )
        members = ",".join(f"127.0.0.1:{peer.group_port}" for peer in self.peers)
        settings = {
            "wsrep-on": "ON",
            "wsrep-provider": LIBRARY,
            "wsrep-cluster-address": f"gcomm://{'' if self.founds else members}",
            "wsrep-provider-options": options,
            "wsrep-node-address": f"127.0.0.1:{self.group_port}",
            "wsrep-sst-method": "celers",
            "binlog-format": "ROW",
            "log-bin-trust-function-creators": 1,  # the audit trail's triggers
            "innodb-autoinc-lock-mode": 2,
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        path = f"PATH={self.directory}:{os.environ.get('PATH', os.defpath)}"
        return ["env", path, *super()._command(), *flags]

    @property
    def is_synced(self) -> bool:
        """Whether it belongs to the cluster and has caught up."""
        found = execute_as_root(self, "SHOW STATUS LIKE 'wsrep_local_state_comment'")
        return found == [("wsrep_local_state_comment", "Synced")]


class Cluster:
    """Two nodes that are one database. Alone, the first one goes on and the second one does not."""

    def __init__(self) -> None:
        self.nodes = (Node(weight=2), Node(weight=1))

    def __enter__(self) -> Self:
        first, second = self.nodes
        first.founds = True
        first.start()
        first.stop()  # now its data say where it stands, and a copy of them does too
        shutil.copytree(first.data, second.data)
        if os.geteuid() == 0:
            for path in (second.directory, second.data, *second.data.rglob("*")):
                os.chown(path, *processes.unprivileged_user())
        for node in self.nodes:
            (node.directory / "accounts.sql").write_text("")  # or one would be ahead of the other
        first.start()
        second.peers = [first]
        second.start()
        for node in self.nodes:
            eventually_sync(lambda node=node: node.is_synced, within=_JOIN_SECONDS)
        first.peers, first.founds = [second], False
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.remove()
