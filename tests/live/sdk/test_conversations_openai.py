"""The official `openai` SDK as a client of `/v1/conversations`, as the SDKs' sessions use it."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseInputItemParam

from tests.support.live.call_recorder import IN_PROCESS, serving_all_formats
from tests.support.live.harness import Process, Server
from tests.support.live.openai_clients import sdk

MODEL = f"{IN_PROCESS}/sim:first=0,delay=0,tokens=5"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Server]:
    """Run a server."""
    with serving_all_formats(tmp_path_factory.mktemp("conversations"), upstream.port) as process:
        yield process


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """Open the synchronous SDK client."""
    with sdk(server) as client:
        yield client


def user(text: str) -> ResponseInputItemParam:
    return {"role": "user", "content": text}


def texts(client: openai.OpenAI, id: str, **query: Any) -> list[str]:
    """Return the texts of all pages of a conversation's items."""
    listed = client.conversations.items.list(id, **query)
    return [part.text for item in listed for part in item.content]  # type: ignore[union-attr]


def test_conversation_is_created_updated_and_deleted(client: openai.OpenAI) -> None:
    made = client.conversations.create(metadata={"a": "b"}, items=[user("One")])
    assert made.id.startswith("conv_")
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"c": "d"})
    assert (changed.metadata, changed.created_at) == ({"c": "d"}, made.created_at)
    assert texts(client, made.id) == ["One"]
    assert client.conversations.delete(made.id).deleted
    for call in (client.conversations.retrieve, client.conversations.delete):
        with pytest.raises(openai.NotFoundError):
            call(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=MODEL, input="Hi", conversation=made.id)


def test_session_of_an_agent(client: openai.OpenAI) -> None:
    """The calls are those of `OpenAIConversationsSession` of openai-agents."""
    session = client.conversations.create(items=[]).id
    for number in range(3):
        history = [item.model_dump() for item in client.conversations.items.list(session)]
        history.reverse()
        question = user(f"{number}?")
        input: Any = [*history, question]
        response = client.responses.create(model=MODEL, input=input)
        output: Any = [item.model_dump(exclude_unset=True) for item in response.output]
        client.conversations.items.create(session, items=[question, *output])
    asked = [text for text in texts(client, session, order="asc", limit=1) if text.endswith("?")]
    assert asked == ["0?", "1?", "2?"]
    (last,) = list(client.conversations.items.list(session, limit=1, order="desc"))[:1]
    assert last.id
    assert client.conversations.items.retrieve(last.id, conversation_id=session).id == last.id
    client.conversations.items.delete(last.id, conversation_id=session)
    assert len(texts(client, session)) == 5
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(last.id, conversation_id=session)
    again: Any = last.model_dump(exclude_unset=True)
    client.conversations.items.create(session, items=[again])
    with pytest.raises(openai.BadRequestError, match="already"):
        client.conversations.items.create(session, items=[again])
    assert len(texts(client, session)) == 6


def test_added_items_and_responses_are_one_history(client: openai.OpenAI) -> None:
    id = client.conversations.create(items=[user("One")]).id
    first = client.responses.create(model=MODEL, input="Two", conversation=id)
    client.conversations.items.create(id, items=[user("Three")])
    second = client.responses.create(model=MODEL, input="Four", conversation=id)
    answers = [first.output_text, second.output_text]
    expected = ["One", "Two", answers[0], "Three", "Four", answers[1]]
    assert texts(client, id, order="asc", limit=2) == expected
    # An item of a response can be deleted, and is unknown from then on.
    answer = first.output[0].id
    client.conversations.items.delete(str(answer), conversation_id=id)
    assert texts(client, id, order="asc") == [text for text in expected if text != answers[0]]
    reference: Any = [{"type": "item_reference", "id": answer}]
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=MODEL, input=reference)
    # The items can be referred to, also those that were added.
    (added,) = [item.id for item in client.conversations.items.list(id) if _text(item) == "Three"]
    found: Any = [{"type": "item_reference", "id": added}]
    third = client.responses.create(model=MODEL, input=found)
    (input,) = client.responses.input_items.list(third.id).data
    assert (input.id, _text(input)) == (added, "Three")
    # At the end of the conversation its responses stay.
    client.conversations.delete(id)
    assert client.responses.retrieve(second.id).output_text == answers[1]


def _text(item: Any) -> str:
    text: str = item.content[0].text
    return text


def test_conversation_that_a_response_has_named(client: openai.OpenAI) -> None:
    name = "a talk of ours"
    client.responses.create(model=MODEL, input="One", conversation=name)
    assert client.conversations.retrieve(name).metadata == {}
    client.conversations.items.create(name, items=[user("Two")])
    client.conversations.update(name, metadata={"a": "b"})
    assert client.conversations.retrieve(name).metadata == {"a": "b"}
    assert texts(client, name, order="asc")[::2] == ["One", "Two"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"items": {}}, "items"),
        ({"items": [{"type": "item_reference", "id": "a"}]}, "items[0]"),
        ({"items": [{"role": "user"}]}, "items[0].content"),
        ({"metadata": {"": "a"}}, "metadata."),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"items": [{"role": "user", "content": "a", "id": "b"}] * 2}, "items"),
    ],
)
def test_invalid_bodies_are_refused(client: openai.OpenAI, body: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.conversations.create(**body)
    assert caught.value.param == param
