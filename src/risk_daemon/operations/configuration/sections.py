"""One file of the configuration against the model of its shape; errors in our words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from risk_daemon.operations.configuration import yaml_file
from risk_daemon.operations.configuration.problems import InvalidConfiguration, Problem
from risk_daemon.operations.configuration.yaml_file import YamlFile


def section[M: BaseModel](
    path: Path, name: str, model: type[M], problems: list[Problem]
) -> tuple[YamlFile | None, M | None]:
    """Read one file and judge its shape; what is wrong is added to `problems`."""
    try:
        file = yaml_file.read(path, name)
    except InvalidConfiguration as invalid:
        problems += invalid.problems
        return None, None
    try:
        return file, model.model_validate(file.values)
    except ValidationError as error:
        problems += _explained(file, model, error)
        return file, None


def _explained(file: YamlFile, model: type[BaseModel], error: ValidationError) -> Iterator[Problem]:
    """Say each of pydantic's errors in our words."""
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        path = [part for part in one["loc"] if part not in ("int", "float")]
        if one["type"] == "extra_forbidden":
            yield file.unknown(path, "a key", _known_keys(model, path[:-1]))
        else:
            yield file.problem(path, _described(model, path) or one["msg"])


def _known_keys(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """Keys of the section at a path."""
    section, _ = _walk(model, path)
    return list(section.model_fields)


def _described(model: type[BaseModel], path: list[str | int]) -> str:
    """What is allowed at a path, by the model's own words."""
    _, field = _walk(model, path)
    return (field.description or "") if field is not None else ""


def _walk(
    model: type[BaseModel], path: Iterable[str | int]
) -> tuple[type[BaseModel], FieldInfo | None]:
    """Follow a path through the models: the innermost section, and the field it ends at."""
    section, field = model, None
    for part in path:
        if isinstance(part, str):
            field = section.model_fields.get(part, field)
        inner = _model_in(field.annotation) if field is not None else None
        section = inner or section
    return section, field


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The section inside `list[Annotated[Section, …]]`, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, Union, UnionType):
        return None
    for inner in get_args(annotation)[:1]:
        return _model_in(inner)
    return None
