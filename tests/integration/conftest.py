"""Starts the story that takes minutes when the first test of this folder does, where its test is among those chosen."""

from __future__ import annotations

import pytest

from tests.integration.story import Story, Teller

TEST = "test_zz_story.py"
_TELLER = pytest.StashKey[Teller]()


@pytest.fixture(scope="session", autouse=True)
def _begin(request: pytest.FixtureRequest) -> None:
    if any(item.path.name == TEST for item in request.session.items):
        docker_url = request.getfixturevalue("docker_url")
        request.getfixturevalue("busybox_image")
        teller = Teller(docker_url)
        request.config.stash[_TELLER] = teller
        teller.start()


@pytest.fixture
def story(request: pytest.FixtureRequest) -> Story:
    """The story once it is over."""
    teller = request.config.stash[_TELLER]
    teller.join()
    return teller.story
