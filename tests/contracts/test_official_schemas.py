"""What is exported is valid, by the schemas of those who publish the standards."""

from __future__ import annotations

import json
import os
from copy import deepcopy
from typing import Any

import pytest
from jsonschema_rs import Draft7Validator, Draft202012Validator, meta

from stagepost.engine.contracts.export import jsonschema_files
from stagepost.engine.contracts.schema import DIALECT
from stagepost.engine.flow import Flow
from stagepost.messages import encode, example, message_type
from tests.contracts.documents import documents, in_every_flow
from tests.contracts.official import Unavailable, asyncapi_schema


@pytest.fixture(scope="module")
def official(pytestconfig: pytest.Config) -> Draft7Validator:
    """The official schema of AsyncAPI 3.1; where it cannot be had, CI fails and others are told."""
    assert pytestconfig.cache is not None
    try:
        return Draft7Validator(asyncapi_schema(pytestconfig.cache.mkdir("asyncapi")))
    except Unavailable as error:
        reason = f"the official schema of AsyncAPI cannot be had: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def faults(official: Draft7Validator, document: dict[str, Any]) -> list[str]:
    return [f"{error.instance_path}: {error.message}" for error in official.iter_errors(document)]


@in_every_flow
def test_every_asyncapi_document_is_valid(official: Draft7Validator, flow: Flow) -> None:
    for document in documents(flow).values():
        assert faults(official, document) == []


def test_a_document_that_is_not_valid_is_found(official: Draft7Validator) -> None:
    broken = deepcopy(documents(Flow())["payments"])
    for operation in broken["operations"].values():
        operation["action"] = "ask"
    assert faults(official, broken)


def test_every_json_schema_is_valid_and_fits_its_message() -> None:
    files = jsonschema_files()
    for path, schema in files.items():
        assert schema["$schema"] == DIALECT
        meta.validate(schema)
        message = message_type(path.removeprefix("jsonschema/").partition(".v")[0])
        Draft202012Validator(schema).validate(json.loads(encode(example(message))))
    assert len(files) > 20
