"""`POST /oauth/token`: an app trades its id and secret for a bearer token with scopes.

Source: PagerDuty, "Obtaining a Scoped OAuth App Token"; error words from RFC 6749, section 5.2.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import parse_qs

from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest, json_answer
from resolute.simulator.pagerduty.world import World

PATH = "/oauth/token"
LIFE = timedelta(days=1)


def issue_token(request: SimRequest, world: World, now: datetime) -> SimAnswer:
    """A token of an app, good for a day; there is no refresh token, ask for a new one.

    The scope names the account (`as_account-us.subdomain`) and each operation's own, e.g. `incidents.read`.
    """
    if request.method != "POST":
        return _refuse(405, "invalid_request").with_headers(("allow", "POST"))
    form = {name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", errors="replace")).items()}
    if form.get("grant_type") != "client_credentials":
        return _refuse(400, "unsupported_grant_type")
    app = world.oauth_clients.get(form.get("client_id", ""))
    if app is None or app.secret != form.get("client_secret"):
        return _refuse(401, "invalid_client")
    asked = form.get("scope", "").split()
    scopes = [scope for scope in asked if not scope.startswith("as_account-")]
    if len(scopes) == len(asked) or not set(scopes) <= app.scopes:
        return _refuse(400, "invalid_scope")
    key = world.add_bearer_token(scopes, expires_at=now + LIFE)
    answer = {"access_token": key.token, "token_type": "bearer", "scope": " ".join(asked)}
    return json_answer(200, answer | {"expires_in": int(LIFE.total_seconds())})


def _refuse(status: int, word: str) -> SimAnswer:
    return json_answer(status, {"error": word})
