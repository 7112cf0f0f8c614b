"""The wire form against the domain, without a server."""

from typing import get_args

import msgspec
import pytest
from voisnap_api.agents import schemas
from voisnap_api.agents.changes import summary
from voisnap_api.auth.passwords import hashed, matches
from voisnap_api.auth.scopes import GRANTABLE, READ, Role, scopes_of
from voisnap_api.demo import DEMO_AGENT
from voisnap_api.wire import merged
from voisnap_domain import agents as domain
from voisnap_domain.agent_rules import camel, violations

pytestmark = pytest.mark.unit

TWINS = [
    (getattr(domain, name.removesuffix("Body")), getattr(schemas, name))
    for name in dir(schemas)
    if name.endswith("Body") and hasattr(domain, name.removesuffix("Body"))
] + [(domain.AgentConfig, schemas.AgentBody)]


def test_twins_are_found():
    assert len(TWINS) >= 14


@pytest.mark.parametrize(
    ("noun", "body"), [twin for twin in TWINS if twin[0] is not domain.Agent], ids=lambda kind: kind.__name__
)
def test_every_field_of_the_domain_is_on_the_wire_with_the_same_default(noun, body):
    wanted = {field.name: field for field in msgspec.structs.fields(noun)}
    found = {field.name: field for field in msgspec.structs.fields(body)}
    assert set(found) == set(wanted)
    for name, field in wanted.items():
        assert found[name].encode_name == camel(name)
        assert found[name].default == field.default, name
        if not any(
            isinstance(part, type) and issubclass(part, msgspec.Struct) for part in (field.type, *get_args(field.type))
        ):
            assert found[name].type == field.type, name


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target, patch, result):
    assert merged(target, patch) == result


def test_opaque_members_are_replaced_whole():
    assert merged({"v": {"a": 1}}, {"v": {"b": None}}, opaque=frozenset({"v"})) == {"v": {"b": None}}


def test_changes_are_said_in_words():
    warmer = msgspec.structs.replace(DEMO_AGENT, llm=msgspec.structs.replace(DEMO_AGENT.llm, temperature=0.5))
    assert summary(DEMO_AGENT, warmer) == "Updated LLM temperature"
    both = msgspec.structs.replace(warmer, system_prompt_template="new")
    assert summary(DEMO_AGENT, both) == "Updated system prompt and LLM temperature"
    assert summary(DEMO_AGENT, DEMO_AGENT) == "No changes"


def test_the_demo_agent_is_valid():
    assert violations(DEMO_AGENT) == ()
    assert DEMO_AGENT.system_prompt_template.count("\n- ") >= 12


def test_roles():
    assert set(Role) == {role for role in Role if scopes_of(role)}
    assert scopes_of(Role.READ_ONLY) == READ | {"hub"}
    assert scopes_of(Role.TENANT_OWNER) == GRANTABLE | {"hub", "conversations:delete"}
    assert "conversations:delete" not in scopes_of(Role.TENANT_USER)
    assert "admin:*" in scopes_of(Role.TENANT_OWNER, platform_admin=True)


async def test_passwords():
    stored = await hashed("secret")
    assert stored.startswith("$argon2id$")
    assert await matches(stored, "secret")
    assert not await matches(stored, "Secret")
    assert not await matches(None, "secret")
    assert not await matches("broken", "secret")
