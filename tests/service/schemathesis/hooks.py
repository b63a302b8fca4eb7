"""What schemathesis is told of this API beyond its description."""

import schemathesis
from hypothesis import strategies as st

# What a client's balance, or a key's first use, may say of a transaction that is valid.
JUDGED = {"/problems/limit-exceeded", "/problems/balance-overflow", "/problems/idempotency-key-reused"}


# What it makes up for headers has letters and digits only, unless it knows the format.
KEY = r'"([ !#-\[\]-~]|\\["\\]){1,64}"'
schemathesis.openapi.format("sf-string", st.from_regex(KEY, fullmatch=True))


@schemathesis.hook
def map_body(ctx, body):
    """JSON Schema takes 543.0 for an integer and cannot be told otherwise. The service does not, and says so."""
    if isinstance(body, dict) and isinstance(body.get("valor"), float) and body["valor"].is_integer():
        return {**body, "valor": int(body["valor"])}
    return body


@schemathesis.check
def valid_transactions_are_refused_for_what_the_client_has(ctx, response, case):
    """422 where the request is as described says nothing of its form."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code != 422:
        return
    problem = response.json()["type"]
    assert problem in JUDGED, f"a transaction as described is answered {problem}"
