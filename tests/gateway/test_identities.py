"""Two people at one server: nobody's request carries the name of another, and every change says who asked for it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from gateway_manager import STOP, FakeManager
from jupyter_server.auth import IdentityProvider, User

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_form import NOT_SERVED

TOKENS = {"k-ada": ("ada", "Ada Lovelace"), "k-bob": ("bob", ""), "k-portal": ("portal", "")}


class Lab(IdentityProvider):
    """As of a hub: one token for each person."""

    async def get_user(self, handler: Any) -> User | None:
        found = re.fullmatch(r"(?:token|bearer)\s+(.+)", handler.request.headers.get("Authorization", ""), re.IGNORECASE)
        if found is None or found[1] not in TOKENS:
            return None
        handler._token_authenticated = True
        name, shown = TOKENS[found[1]]
        return User(username=name, display_name=shown or name)


LAB = {
    "ServerApp": {"identity_provider_class": Lab},
    "QueueServerExtension": {"user_groups": {"ada": "root", "*": "primary"}, "trusted_users": ["portal"]},
}
pytestmark = pytest.mark.parametrize("extra_config", [LAB])
#: What somebody may try to pass for another.
FORGED = {"user": "bob", "user_group": "else"}


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"ApiKey k-{name}"}


async def test_names_come_from_the_token_alone(api: Any, manager: FakeManager) -> None:
    """In every method that takes a user: whatever the body says, also in headers and query."""
    for method in methods().values():
        if method.name in NOT_SERVED or not {"user", "user_group"} & set(method.parameter_names):
            continue
        forged = {name: value for name, value in FORGED.items() if name in method.parameter_names}
        body = {"item": STOP, "items": [STOP], "lock_key": "k", "queue": True} | forged
        body = {name: value for name, value in body.items() if name in method.parameter_names}
        headers = key("ada") | {"X-Forwarded-User": "bob", "Remote-User": "bob", "X-Request-User": "bob"}
        before = len(manager.requests)
        reply = await api(method.verb, method.path, body, headers=headers, params={"user": "bob", "request_user": "bob"})
        if reply.code == 400:  # where the interface knows no such keys
            assert json.loads(reply.body)["error"]["code"] == "unsupported_parameters", method.name
            assert len(manager.requests) == before
            continue
        sent = manager.requests[-1]["params"]
        assert sent.get("user") in (None, 'ada "Ada Lovelace"'), method.name
        assert sent.get("user_group") in (None, "root"), method.name
        assert "bob" not in json.dumps(sent), method.name


async def test_every_change_is_asked_for_by_who_is_logged_in(api: Any, manager: FakeManager) -> None:
    """Also those that name nobody, such as clearing the queue."""
    asked = 0
    for method in methods().values():
        if method.name in NOT_SERVED or method.kind != "write":
            continue
        for extra in ({}, {"request_user": "bob"}):
            before = len(manager.requests)
            await api(method.verb, method.path, extra, headers=key("ada"))
            for request in manager.requests[before:]:
                assert request["params"]["request_user"] == 'ada "Ada Lovelace"', method.name
                asked += 1
    assert asked > 15


async def test_two_people_in_turn(api: Any, manager: FakeManager) -> None:
    for name, shown, group in (("ada", 'ada "Ada Lovelace"', "root"), ("bob", "bob", "primary")) * 3:
        reply = json.loads((await api("POST", "/queue/item/add", {"item": STOP} | FORGED, headers=key(name))).body)
        assert reply["success"]
        assert (reply["item"]["user"], reply["item"]["user_group"]) == (shown, group)
        assert json.loads((await api("GET", "/auth/whoami", headers=key(name))).body)["identities"][0]["id"] == name
    assert [item.fields["user"] for item in manager.state.queue] == ['ada "Ada Lovelace"', "bob"] * 3


async def test_a_lock_is_that_of_who_locks(api: Any, manager: FakeManager) -> None:
    body = {"lock_key": "k", "queue": True} | {"user": "bob"}
    reply = await api("POST", "/lock", body, headers=key("ada"))
    if reply.code == 200:
        assert manager.state.lock.user == 'ada "Ada Lovelace"'
    else:
        assert json.loads(reply.body)["error"]["code"] == "unsupported_parameters"
        assert not manager.state.lock.is_locked


async def test_who_is_trusted_may_speak_for_his_users(api: Any, manager: FakeManager) -> None:
    """A gateway of the facility that the settings name; without a word it speaks for itself."""
    for sent, user, group in (
        ({"user": "carl", "user_group": "root"}, "carl", "root"),
        ({"user": "carl"}, "carl", "primary"),
        ({}, "portal", "primary"),
    ):
        await api("POST", "/queue/item/add", {"item": STOP} | sent, headers=key("portal"))
        params = manager.requests[-1]["params"]
        assert (params["user"], params["user_group"], params["request_user"]) == (user, group, user)
