"""The connection between a notebook and its kernel, which says why the kernel was stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from weakref import WeakKeyDictionary

from jupyter_client.session import extract_header
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from cubehub_account.memory import ledger, reason
from cubehub_account.state import state


@dataclass
class _Asked:
    """What one kernel process was asked to do; kept for the kernel, not for a connection.

    A page that is loaded anew in the middle of a long cell missed the messages that told.
    """

    process: int | None
    requested: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Headers of the requests that clients sent and that are not done, by their id, oldest first."""
    executing: dict[str, Any] | None = None
    """Header of the request that the kernel says it executes."""

    @property
    def header(self) -> dict[str, Any]:
        """What the process was at: what it said itself, else what it had to take next; empty for nothing."""
        return self.executing or next(iter(self.requested.values()), {})


_asked: WeakKeyDictionary[object, _Asked] = WeakKeyDictionary()


def _asked_of(kernel: Any) -> _Asked:
    """Give the record of a kernel manager's present process; what the one before was asked for is forgotten."""
    process = getattr(kernel.provisioner, "pid", None)
    record = _asked.get(kernel)
    if record is None or record.process != process:
        record = _asked[kernel] = _Asked(process)
    return record


class ReasonedKernelWebsocket(ZMQChannelsWebsocketConnection):
    """Sends the reason as output of the running cell, before the news that the kernel restarts.

    Notes
    -----
    A client drops its pending requests when it hears of the restart, so anything said later has no cell to appear
    under. As ordinary output it needs nothing in the client: Lab, Notebook 7 and others show and save it.
    """

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Note which request a client sends, then pass it on.

        Notes
        -----
        The kernel announces what it executes from a thread of its own. A cell that allocates at once, in one long
        call, gives that thread no turn before it is stopped, so the announcement alone is not enough.
        """
        header = self._request_header(incoming_msg)
        if header.get("msg_type") == "execute_request":
            _asked_of(self.kernel_manager).requested[header["msg_id"]] = header
        super().handle_incoming_message(incoming_msg)

    def _request_header(self, incoming_msg: Any) -> dict[str, Any]:
        """Give the header of what a client sent; empty for what is no message."""
        try:
            if self.subprotocol == "v1.kernel.websocket.jupyter.org":
                _, parts = deserialize_msg_from_ws_v1(incoming_msg)
                return dict(self.session.unpack(parts[0]))
            text = (
                deserialize_binary_message(incoming_msg)
                if isinstance(incoming_msg, bytes)
                else json.loads(incoming_msg)
            )
            return dict(text["header"])
        except (KeyError, IndexError, TypeError, ValueError):
            return {}  # what to do about it is decided by who handles the message

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Note which request is executed, then pass the message on."""
        channel = stream if isinstance(stream, str) else getattr(stream, "channel", None)
        if channel == "iopub":
            self._note_status(outgoing_msg)
        super().handle_outgoing_message(stream, outgoing_msg)

    def _note_status(self, outgoing_msg: list[Any]) -> None:
        """Look into status messages only: output can be large and frequent."""
        _, parts = self.session.feed_identities(outgoing_msg)
        if self.session.unpack(parts[1]).get("msg_type") != "status":
            return
        parent = self.session.unpack(parts[2])
        state = self.session.unpack(parts[4]).get("execution_state")
        if parent.get("msg_type") != "execute_request":
            return
        asked = _asked_of(self.kernel_manager)
        if state == "busy":
            asked.executing = parent
        elif state == "idle":
            asked.requested.pop(parent.get("msg_id"), None)
            if asked.executing is not None and asked.executing.get("msg_id") == parent.get("msg_id"):
                asked.executing = None

    def on_kernel_restarted(self) -> None:
        """Say why the kernel ended, then that it restarts."""
        self._explain()
        super().on_kernel_restarted()

    def on_restart_failed(self) -> None:
        """Say why the kernel ended, then that it stays dead."""
        self._explain()
        super().on_restart_failed()

    def _explain(self) -> None:
        kernel = self.kernel_manager
        if not ledger().ran_out(kernel):
            return
        iopub = self.channels.get("iopub")
        if iopub is not None and not iopub.closed():
            iopub.flush()  # what the kernel still said comes before why it stopped
        limits, notebook = state().limits(), self._notebook()
        text = reason(limits, notebook)
        if ledger().is_first(kernel):  # each page that shows the notebook has a connection of its own
            first, _, rest = text.partition("\n")
            state().say_stopped(first, rest, self.kernel_id)
        self.log.warning("Kernel %s: %s", self.kernel_id, text.partition("\n")[0])
        parent = extract_header(_asked_of(kernel).header)
        message = self.session.msg("stream", {"name": "stderr", "text": text}, parent=parent or None)
        if self.subprotocol == "v1.kernel.websocket.jupyter.org":
            self.write_message(serialize_msg_to_ws_v1(message, "iopub", self.session.pack), binary=True)
        else:
            self.write_message(self._reserialize_reply({**message, "buffers": []}, channel="iopub"))

    def _notebook(self) -> str:
        """Tell the file name that the kernel was started for; empty where there is none."""
        environment = getattr(self.kernel_manager, "_launch_args", {}).get("env") or {}
        return PurePosixPath(environment.get("JPY_SESSION_NAME", "")).name
