"""The few requests that a run does not make, because they would end it; everything else it may."""

import os
from urllib.parse import unquote

import schemathesis

OWN_LOGIN = os.environ["RUN_AS"]


@schemathesis.hook
def filter_case(context, case):
    operation = case.operation.definition.raw.get("operationId")
    parts, body = case.path_parameters or {}, case.body
    fields = body if isinstance(body, dict) else {}
    # With another password, everything that follows would be answered 401.
    if operation == "users.change" and "password" in fields:
        return unquote(str(parts.get("login", ""))).lower() != OWN_LOGIN
    # Such a drill does what it says to the server that is asked here, when a task is resumed.
    if operation == "drills.create" and fields.get("effect") == "crash":
        return False
    return True
