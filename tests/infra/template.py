"""The template as CloudFormation would resolve it, as far as it uses its functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from zae_limiter.infra.template import template_text

ABSENT = object()
PSEUDO = {
    "AWS::StackName": "limits",
    "AWS::Partition": "aws",
    "AWS::AccountId": "123456789012",
    "AWS::Region": "eu-central-1",
    "AWS::NoValue": ABSENT,
}
TABLE_ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/limits"
ATTRIBUTES = {
    "RateLimitsTable.Arn": TABLE_ARN,
    "RateLimitsTable.StreamArn": f"{TABLE_ARN}/stream/2026-01-01T00:00:00.000",
}


class Loader(yaml.SafeLoader):
    """Reads the short forms of functions as their long forms."""


def _function(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _function)


@cache
def loaded() -> dict[str, Any]:
    """The template with functions unresolved."""
    template: dict[str, Any] = yaml.load(template_text(), Loader)
    return template


@dataclass
class Resolved:
    """The template for some parameters; those not given have their defaults."""

    parameters: Mapping[str, str]

    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources that are made."""
        return {name: self.value(each) for name, each in loaded()["Resources"].items() if self._is_made(each)}

    def outputs(self) -> dict[str, dict[str, Any]]:
        """The outputs that are told."""
        return {name: self.value(each) for name, each in loaded()["Outputs"].items() if self._is_made(each)}

    def statements(self, policy: str) -> list[dict[str, Any]]:
        """The statements of a managed policy, or of a role's own policy."""
        properties = self.resources()[policy]["Properties"]
        documents = (
            [properties["PolicyDocument"]]
            if "PolicyDocument" in properties
            else [each["PolicyDocument"] for each in properties["Policies"]]
        )
        return [statement for document in documents for statement in document["Statement"]]

    def _is_made(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or self.holds(resource["Condition"])

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template holds."""
        return bool(self.value(loaded()["Conditions"][condition]))

    def value(self, part: Any) -> Any:
        """A part of the template with its functions resolved."""
        if isinstance(part, list):
            return [value for value in map(self.value, part) if value is not ABSENT]
        if not isinstance(part, dict):
            return part
        if len(part) == 1:
            ((name, argument),) = part.items()
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if name == "Ref" or name.startswith("Fn::"):
                return self._called(name, argument)
        found = {key: self.value(value) for key, value in part.items() if key != "Condition" or isinstance(value, dict)}
        return {key: value for key, value in found.items() if value is not ABSENT}

    def _called(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._reference(argument)
        if name == "Fn::GetAtt":
            path = argument if isinstance(argument, str) else ".".join(argument)
            return ATTRIBUTES.get(path, f"arn:aws:{path}")
        if name == "Fn::Sub":
            return re.sub(r"\$\{([^!}]+)\}", lambda found: self._substituted(found[1]), argument)
        if name == "Fn::If":
            return self.value(argument[1 if self.holds(argument[0]) else 2])
        values = self.value(argument)
        if name == "Fn::Equals":
            return values[0] == values[1]
        if name == "Fn::Not":
            return not values[0]
        if name == "Fn::And":
            return all(values)
        if name == "Fn::Or":
            return any(values)
        if name == "Fn::Select":
            return values[1][int(values[0])]
        assert name == "Fn::Split", name
        return values[1].split(values[0])

    def _substituted(self, name: str) -> str:
        # Variables of IAM look alike and are left to it.
        if name.startswith("aws:"):
            return f"${{{name}}}"
        return str(self._called("Fn::GetAtt", name) if "." in name else self._reference(name))

    def _reference(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in loaded()["Parameters"]:
            return self.parameters.get(name, loaded()["Parameters"][name]["Default"])
        return "limits" if name == "RateLimitsTable" else name
