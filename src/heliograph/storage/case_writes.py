"""Writes about what people look at; `store.py` says how writes are committed."""

from dataclasses import dataclass

from heliograph.domain.ids import OutputId
from heliograph.domain.moderation import Case, CaseAction
from heliograph.domain.pictures import Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCase:
    """Insert a case with the first line of its log; a second write of the same id changes nothing."""

    case: Case
    action: CaseAction


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveCase:
    """Bring a case into a later state and append to its log; nothing changes where its log is as long already."""

    case: Case
    action: CaseAction


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAvailability:
    """Say who may have a picture from now on; nothing happens to one that is gone."""

    output_id: OutputId
    availability: Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetCases:
    """Delete cases that were decided before a time, in seconds since the epoch, with their logs."""

    before_s: float


CaseWrite = OpenCase | MoveCase | SetAvailability | ForgetCases
