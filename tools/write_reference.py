"""Write the generated parts of docs/reference, and the picture of the rooms.

    python -m tools.write_reference     or: make reference

A part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`; all else on a page is
written by hand. A test fails while a part is not what this program writes.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel

from spikeinterface_cloud.aws.cli.click_sections import DEFAULT_COMMAND, OTHER_SECTION
from spikeinterface_cloud.aws.infra.template import TEMPLATE_FILE
from spikeinterface_cloud.aws.python_api import Job, submit
from spikeinterface_cloud.config.catalog.parameters import WITHOUT_EFFECT
from spikeinterface_cloud.config.catalog.snapshot import Snapshot, load_snapshot
from spikeinterface_cloud.config.settings import JobSettings
from spikeinterface_cloud.errors import COMMAND_EXIT_CODES, EXIT_CODES
from spikeinterface_cloud.results.layout import CONTENTS
from spikeinterface_cloud.results.run_schema import RunJson
from spikeinterface_cloud.session.record import SessionJson
from submit_job import program
from tools.rooms_picture import rooms_picture

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
PICTURE = ROOT / "media" / "rooms.svg"

PROGRAM = "spikeinterface-cloud"

#: of the options that every command has
COMMON_SECTION = "AWS account"

PART = re.compile(r"(<!-- generated: ([a-z-]+)\b.*?-->\n).*?(<!-- /generated -->)", re.DOTALL)

#: JSON's types in plain words
TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
}

#: the unit of a field, by the end of its name; the first match counts
UNITS = {
    "usd_per_hour": "USD per hour",
    "usd": "USD",
    "usd_at_most": "USD",
    "_durations_s": "s",
    "_s": "s",
    "seconds": "s",
    "_bytes": "bytes",
    "_hz": "Hz",
    "gain_to_uv": "µV per step",
}


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in lines)


def code(text: str) -> str:
    """Return a text in the font of code; pipes would end a table's cell.

    >>> code("spot|cpu")
    '<code>spot&#124;cpu</code>'
    """
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


# ----- exit codes and results ---------------------------------------------------------------------


def exit_codes() -> str:
    """Return the exit codes of the container."""
    rows = [(str(number), each.meaning, each.remedy) for number, each in EXIT_CODES.items()]
    return table(("code", "meaning", "what to do"), rows)


def command_exit_codes() -> str:
    """Return the exit codes of the command line."""
    rows = [(str(number), meaning) for number, meaning in COMMAND_EXIT_CODES.items()]
    others = ("others", "`--follow`, `wait`: those of the [container](#of-the-container)")
    return table(("code", "meaning"), [*rows, others])


def results_tree() -> str:
    """Return the files of the results."""
    return table(("path", "content"), [(code(path), text) for path, text in CONTENTS.items()])


def settings_table() -> str:
    """Return the variables of the job."""
    rows = [
        (f"`{name.upper()}`", str(field.description))
        for name, field in JobSettings.model_fields.items()
    ]
    return table(("variable", "meaning"), rows)


# ----- run.json and session.json ------------------------------------------------------------------


def run_schema() -> str:
    """Return the fields of run.json."""
    return _schema_tables(RunJson)


def session_schema() -> str:
    """Return the fields of session.json."""
    return _schema_tables(SessionJson)


def _schema_tables(model: type[BaseModel]) -> str:
    """Return a table for each kind of object, after its first use."""
    schema = model.model_json_schema()
    objects = {model.__name__: schema, **schema["$defs"]}
    return "\n\n".join(_describe_object(name, objects[name]) for name in _in_order(objects))


def _in_order(objects: Mapping[str, Any]) -> list[str]:
    """Return the names of the objects, each before those that it alone uses."""
    order = [next(iter(objects))]
    for name in order:
        used = re.findall(r"#/\$defs/(\w+)", json.dumps(objects[name]["properties"]))
        new = [each for each in dict.fromkeys(used) if each not in order]
        position = order.index(name) + 1
        order[position:position] = new
    return order


def _describe_object(name: str, described: Mapping[str, Any]) -> str:
    rows = [
        (code(field), f"{_type_of(value)}{_unit_of(field)}", value["description"])
        for field, value in described["properties"].items()
    ]
    meaning = " ".join(described["description"].split())
    columns = ("field", "type and unit", "meaning")
    heading = "" if name in (RunJson.__name__, SessionJson.__name__) else f"## {_title(name)}\n\n"
    return f"{heading}{meaning}\n\n{table(columns, rows)}"


def _title(name: str) -> str:
    """Return the heading of an object.

    >>> _title("SorterEntry")
    'Sorter'
    """
    return name.removesuffix("Entry").replace("Gpu", "GPU")


def _type_of(value: Mapping[str, Any]) -> str:
    """Return the type of a field in plain words.

    >>> _type_of({"type": "array", "items": {"$ref": "#/$defs/SorterEntry"}})
    'list of [Sorter](#sorter)'
    """
    if "anyOf" in value:
        return " or ".join(_type_of(each) for each in value["anyOf"])
    if "$ref" in value:
        title = _title(value["$ref"].rpartition("/")[2])
        return f"[{title}](#{title.lower()})"
    if "enum" in value:
        return ", ".join(code(str(each)) for each in value["enum"])
    if "const" in value:
        return code(str(value["const"]))
    if value.get("type") == "array":
        items = value["prefixItems"][0] if "prefixItems" in value else value.get("items", {})
        number = str(len(value["prefixItems"])) if "prefixItems" in value else "list of"
        kind = _type_of(items)
        return f"{number} {kind}{'s' if kind in TYPES.values() else ''}"
    if isinstance(value.get("additionalProperties"), dict):
        return f"{_type_of(value['additionalProperties'])} by name"
    formats = {"date-time": "date and time", "date": "date"}
    return formats.get(value.get("format", ""), TYPES.get(value.get("type", ""), "any"))


def _unit_of(field: str) -> str:
    """Return the unit of a field, if it has one.

    >>> _unit_of("peak_memory_bytes"), _unit_of("n_units")
    (', in bytes', '')
    """
    return next((f", in {unit}" for end, unit in UNITS.items() if field.endswith(end)), "")


# ----- command line -------------------------------------------------------------------------------


def commands() -> str:
    """Return every command with its meaning."""
    rows = [
        (f"[`{' '.join(path)}`](#{'-'.join(path)})", _paragraphs(command)[0])
        for path, command in _all_commands()
    ]
    return table(("command", "meaning"), rows)


def command_options() -> str:
    """Return a section with the options of each command."""
    return "\n\n".join(_describe_command(path, command) for path, command in _all_commands())


def common_options() -> str:
    """Return the options that every command has."""
    sections = [_sections(command)[COMMON_SECTION] for _, command in _all_commands()]
    if any(section != sections[0] for section in sections):
        raise ValueError(f"the options of {COMMON_SECTION} differ among commands")
    return table(("option", "meaning"), sections[0])


def _all_commands() -> Iterator[tuple[list[str], click.Command]]:
    yield [DEFAULT_COMMAND], program.commands[DEFAULT_COMMAND]
    for name in sorted(program.commands):
        command = program.commands[name]
        if isinstance(command, click.Group):
            for inner in sorted(command.commands):
                yield [name, inner], command.commands[inner]
        elif not command.hidden:
            yield [name], command


def _paragraphs(command: click.Command) -> list[str]:
    """Return the paragraphs of a command's help, each on one line."""
    return [" ".join(part.split()) for part in (command.help or "").split("\n\n")]


def _describe_command(path: Sequence[str], command: click.Command) -> str:
    typed = [PROGRAM, *(path if command.name != DEFAULT_COMMAND else ())]
    usage = " ".join([*typed, *command.collect_usage_pieces(click.Context(command))])
    parts = [f"## {' '.join(path)}", f"```text\n{usage}\n```", *_paragraphs(command)]
    parts += [
        table((section, "meaning"), rows)
        for section, rows in _sections(command).items()
        if section != COMMON_SECTION
    ]
    return "\n\n".join(parts)


def _sections(command: click.Command) -> dict[str, list[tuple[str, str]]]:
    """Return the options of a command and their meanings, by section."""
    context = click.Context(command)
    sections: dict[str, list[tuple[str, str]]] = {}
    for option in command.params:
        record = option.get_help_record(context)
        if record and isinstance(option, click.Option):
            section = getattr(option, "section", OTHER_SECTION)
            sections.setdefault(section, []).append((code(record[0]), _cell(record[1])))
    return sections


def _cell(text: str) -> str:
    """Return a help text as a cell: patterns must not become emphasis."""
    return text.replace("|", "&#124;").replace("*", r"\*").replace("  [", " [")


# ----- AWS stack ----------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Read a template, whatever its functions of CloudFormation are."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)


def template_parameters() -> str:
    """Return the parameters of the template, in the order of its groups."""
    template = _template()
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    parts = []
    for group in groups:
        rows = []
        for name in group["Parameters"]:
            parameter = template["Parameters"][name]
            default = parameter["Default"]
            rows.append(
                (code(name), code(str(default)) if default != "" else "", _values(parameter))
            )
        heading = f"### {group['Label']['default']}"
        parts.append(f"{heading}\n\n{table(('parameter', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def _values(parameter: Mapping[str, Any]) -> str:
    """Return the description of a parameter, with the values that it may have."""
    text = parameter["Description"]
    if allowed := parameter.get("AllowedValues"):
        return f"{text} One of {', '.join(code(str(value)) for value in allowed)}."
    limits = [
        f"{words} {parameter[key]:,}"
        for key, words in (("MinValue", "at least"), ("MaxValue", "at most"))
        if key in parameter
    ]
    return f"{text} {', '.join(limits).capitalize()}." if limits else text


def template_outputs() -> str:
    """Return the outputs of the template."""
    outputs = _template()["Outputs"]
    rows = [(code(name), output["Description"]) for name, output in outputs.items()]
    return table(("output", "meaning"), rows)


def _template() -> Any:
    return _Loader(TEMPLATE_FILE.read_text(encoding="utf-8")).get_single_data()


# ----- readers and sorters ------------------------------------------------------------------------


def reader_arguments() -> str:
    """Return the arguments that each reader takes."""
    rows = [
        (
            code(name),
            ", ".join(
                f"**{code(each)}**" if each in reader.required else code(each)
                for each in reader.parameters
            ),
        )
        for name, reader in load_snapshot().readers.items()
    ]
    return table(("DATA_TYPE", "arguments"), rows)


def sorters() -> str:
    """Return every sorter that SpikeInterface knows, and where it runs."""
    catalog = load_snapshot()
    gpu = {"nvidia-required": "required", "nvidia-optional": "used"}
    ours_first = sorted(
        catalog.sorters, key=lambda name: (name not in catalog.usual, not catalog.sorters[name])
    )
    rows = [
        (code(name), _image_of(name, catalog), gpu.get(catalog.gpu_sorters.get(name, ""), ""))
        for name in ours_first
    ]
    return table(("sorter", "image", "GPU"), rows)


def _image_of(sorter: str, catalog: Snapshot) -> str:
    if sorter == "kilosort4":
        return "`make image-gpu`"
    if sorter in catalog.usual:
        return "`make image`, `make image-gpu`"
    if catalog.sorters[sorter] is not None:
        return f"`make image-gpu BASE=spikeinterface/{sorter}-compiled-base`"
    return "your own"


def sorter_parameters() -> str:
    """Return the parameters of each sorter of the images, with their defaults."""
    parts = [
        f"### {name}\n\n"
        + table(
            ("parameter", "default"), [(code(key), _json(value)) for key, value in known.items()]
        )
        + _refused_parameters(name)
        for name, known in load_snapshot().sorters.items()
        if known is not None
    ]
    return "\n\n".join(parts)


def _refused_parameters(sorter: str) -> str:
    """Return the parameters that the job refuses, as the sorter ignores them; or nothing."""
    refused = WITHOUT_EFFECT.get(sorter, {})
    if not refused:
        return ""
    rows = [(code(place), remedy) for place, remedy in refused.items()]
    return "\n\n" + table(("refused, as the sorter ignores it", "instead"), rows)


def _json(value: object) -> str:
    return code(json.dumps(value))


# ----- Python -------------------------------------------------------------------------------------


def python_arguments() -> str:
    """Return the arguments of `submit`, from its docstring."""
    documented = inspect.getdoc(submit) or ""
    section = documented.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    rows = [
        (code(name), kind, " ".join(meaning.split()))
        for name, kind, meaning in re.findall(
            r"^(\w+) : (.*)\n((?: +.*(?:\n|$))+)", section, re.MULTILINE
        )
    ]
    if [row[0] for row in rows] != [code(name) for name in inspect.signature(submit).parameters]:
        raise ValueError("the docstring of submit lists other arguments than its signature")
    return table(("argument", "type", "meaning"), rows)


def python_job() -> str:
    """Return the methods of a job, with the first sentence of their docstrings."""
    rows = []
    for name, method in vars(Job).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        arguments = list(inspect.signature(method).parameters.values())[1:]
        given = ", ".join(f"{each.name}={each.default!r}" for each in arguments)
        rows.append((code(f"{name}({given})"), (inspect.getdoc(method) or "").partition("\n\n")[0]))
    return table(("method", "meaning"), rows)


#: by page, then by name, what writes a generated part
PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "python.md": {"python-arguments": python_arguments, "python-job": python_job},
    "settings.md": {"settings": settings_table},
    "exit-codes.md": {"exit-codes": exit_codes, "command-exit-codes": command_exit_codes},
    "results.md": {"results-tree": results_tree},
    "run-schema.md": {"run-schema": run_schema},
    "session-schema.md": {"session-schema": session_schema},
    "cli.md": {
        "commands": commands,
        "command-options": command_options,
        "common-options": common_options,
    },
    "template.md": {"parameters": template_parameters, "outputs": template_outputs},
    "readers.md": {"reader-arguments": reader_arguments},
    "sorters.md": {"sorters": sorters, "sorter-parameters": sorter_parameters},
}


def renew(text: str, writers: Mapping[str, Callable[[], str]]) -> str:
    """Return the text of a page with each generated part as it is now.

    Raises KeyError for a part that nothing writes, and ValueError for a writer without its part.
    """
    names = [match[2] for match in PART.finditer(text)]
    if missing := [name for name in writers if names.count(name) != 1]:
        raise ValueError(f"one part is needed of each: {', '.join(missing)}")
    return PART.sub(lambda match: f"{match[1]}{writers[match[2]]()}\n{match[3]}", text)


def main() -> None:
    """Write every page, and the picture of the rooms."""
    PICTURE.write_text(rooms_picture(), encoding="utf-8")
    for name, writers in PAGES.items():
        page = FOLDER / name
        page.write_text(renew(page.read_text(encoding="utf-8"), writers), encoding="utf-8")


if __name__ == "__main__":
    main()
