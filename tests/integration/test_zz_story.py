"""What the story came to (tests/integration/story.py): it was told beside the tests before this one."""

from __future__ import annotations

import pytest

from tests.integration.story import CPU, MEMORY, Story

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def test_an_alarm_on_the_running_tasks_calls_a_webhook_and_ends(story: Story) -> None:
    assert story.problem == ""
    assert story.states == ["OK", "ALARM", "OK"]
    states = [(m["OldStateValue"], m["NewStateValue"]) for m in story.messages if "NewStateValue" in m]
    assert states[-2:] == [("OK", "ALARM"), ("ALARM", "OK")]
    alarm = next(m for m in story.messages if m.get("NewStateValue") == "ALARM")
    assert alarm["NewStateReason"].startswith("Threshold Crossed: 1 datapoint [0.0 (")
    assert alarm["Trigger"]["MetricName"] == "RunningTaskCount"
    assert any(m.get("detail-type") == "ECS Task State Change" for m in story.messages)  # by the rule
    assert "Alarm updated from OK to ALARM" in story.history
    assert any(told.startswith("Successfully executed action arn:aws:sns:") for told in story.history)


def test_cloudwatch_and_the_agent_tell_the_same_of_a_minute(story: Story) -> None:
    assert story.problem == ""
    for metric, (told, counted) in story.utilization.items():
        # The agent's samples reach CloudWatch in thirds of a minute, whose edges are not those of the minute.
        assert told == pytest.approx(counted, rel=0.15), (metric, CPU, MEMORY)
