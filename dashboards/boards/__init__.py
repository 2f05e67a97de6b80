"""The seven boards, each in a module of its own."""

from __future__ import annotations

from dashboards.board import Board
from dashboards.boards import control, deployments, failures, fleet, instances, service, task

BOARDS: tuple[Board, ...] = (
    fleet.BOARD,
    service.BOARD,
    task.BOARD,
    instances.BOARD,
    deployments.BOARD,
    failures.BOARD,
    control.BOARD,
)
