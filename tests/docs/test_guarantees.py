"""Each promise says what it rests on, and names tests that are there and that the ordinary run includes."""

import ast
import functools
import re

import pytest
from tests.docs.generated import ROOT

from subscription_lifecycle.testing import laws

PAGE = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
PROMISED, NOT_PROMISED = PAGE.split("## What is not promised")
PROMISES = {block.partition("**")[0]: block for block in re.split(r"^- \*\*", PROMISED, flags=re.MULTILINE)[1:]}
TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
LAW = re.compile(r"`laws\.(\w+)`")


@functools.cache
def marked_in(path: str) -> dict[str, bool]:
    """By name, and whether only the long run has it."""
    found: dict[str, bool] = {}
    for node in ast.parse((ROOT / path).read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found[name] = is_long(node)
            case ast.ClassDef(name=name):
                found |= {
                    f"{name}::{each.name}": is_long(each) for each in node.body if isinstance(each, ast.FunctionDef)
                }
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = is_long(node)
    return found


def is_long(node: ast.AST) -> bool:
    marks = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else [node]
    return any("mark.long" in ast.unparse(mark) and "param(" not in ast.unparse(mark) for mark in marks)


def test_there_are_promises() -> None:
    assert len(PROMISES) > 20


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_rests_on_something_and_is_shown(promise: str) -> None:
    text = PROMISES[promise]
    assert "*Rests on*" in text
    named = TEST.findall(text.partition("*Shown by*")[2])
    assert named
    for path, name in named:
        assert name.rpartition("::")[2].lower().startswith("test"), f"{name} is no test"
        assert name in marked_in(path), f"{path} has no {name}"
        assert not marked_in(path)[name], f"only the long run has {name}"


def test_what_is_named_otherwise_is_there_too() -> None:
    assert set(LAW.findall(PAGE)) <= set(laws.__all__)
    assert [path for path in re.findall(r"`(tests/[\w/]+\.py)", PAGE) if not (ROOT / path).is_file()] == []
    assert PAGE.count("`tests/") == len(TEST.findall(PAGE)) + 1, "a test is named in a way that is not checked"


def test_what_is_only_in_the_long_run_is_known() -> None:
    kills = marked_in("tests/kills/test_kills.py")
    assert kills["test_killed_at_random_moments_hundreds_of_times"]
    assert not kills["test_a_database_that_restarts_under_load"]
