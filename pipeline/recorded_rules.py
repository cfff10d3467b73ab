"""The rules of the settings as they are recorded with each lane, so that a verdict can be proved later."""

from consumers.claiming import RecordedRules
from pipeline.settings import RuleSettings


def recorded_rules(rules: RuleSettings) -> RecordedRules:
    return RecordedRules(
        rules.past_max, rules.future_max, rules.default_currency, rules.default_time_zone, rules.unknown_property
    )
