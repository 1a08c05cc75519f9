"""Nothing is sent: OpenVINO and NNCF report imports and conversions to their makers by default.

Both take the package ``openvino_telemetry`` for optional and are silent without it, so for this
process it is made to be missing. No file is written; whoever imported it before keeps a package
that says nothing any more.
"""

import sys
from typing import cast

PACKAGE = "openvino_telemetry"
SPEAKING = ("send_event", "send_error", "send_stack_trace", "start_session", "end_session")


def switch_off_telemetry() -> None:
    """Keep OpenVINO and NNCF from sending anything; call it before they are imported."""
    # An entry of None is how Python notes that a module is not to be found.
    there = cast("dict[str, object]", sys.modules).setdefault(PACKAGE, None)
    telemetry = getattr(there, "Telemetry", None)
    if telemetry is None:
        return
    # A renewed one would ask the user's home anew whether it may speak, and note the use there.
    for name in (*SPEAKING, "init"):
        setattr(telemetry, name, _nothing)


def _nothing(*_: object, **__: object) -> None:
    """What each method of telemetry does from now on."""
