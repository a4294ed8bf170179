"""Settings: defaults that work, file and environment on top, and mistakes that are named."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.tiers import Tier
from heliograph.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HELIOGRAPH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that `HELIOGRAPH_CONFIG` names."""
    path = tmp_path / "heliograph.toml"
    monkeypatch.setenv("HELIOGRAPH_CONFIG", str(path))
    return path


def fields_named(error: ValidationError) -> list[str]:
    return [".".join(map(str, each["loc"])) for each in error.errors()]


def test_the_defaults_work_on_a_laptop() -> None:
    settings = Settings()
    assert settings.server.host == "127.0.0.1"
    assert settings.fleet.always_warm == ("helio-base",)
    assert not settings.fleet.testing_models
    assert set(settings.queue.tier_head_start_s) == set(Tier)


@pytest.mark.parametrize(
    ("xdg_data_home", "expected"),
    [("/somewhere", "/somewhere/heliograph"), ("", "/users/ann/.local/share/heliograph")],
)
def test_the_data_directory_follows_the_desktop_convention(
    xdg_data_home: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/users/ann")
    monkeypatch.setenv("XDG_DATA_HOME", xdg_data_home)
    assert Settings().data_dir == Path(expected)


def test_the_environment_overrides_the_file_and_the_file_the_defaults(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('data_dir = "/from/file"\n[server]\nport = 8001\ndrain_s = 5\n', encoding="utf-8")
    monkeypatch.setenv("HELIOGRAPH_SERVER__PORT", "8002")
    settings = Settings()
    assert settings.server.port == 8002
    assert settings.server.drain_s == 5
    assert settings.data_dir == Path("/from/file")
    assert settings.server.host == "127.0.0.1"


def test_arguments_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATA_DIR", "/from/environment")
    assert Settings(data_dir=Path("/from/argument")).data_dir == Path("/from/argument")


@pytest.mark.parametrize(
    ("name", "text", "field", "expected"),
    [
        ("FLEET__WORKERS", "3", "fleet.workers", 3),
        ("FLEET__ALWAYS_WARM", '["a", "b"]', "fleet.always_warm", ("a", "b")),
        ("QUEUE__BACKOFF_S", "[1, 2]", "queue.backoff_s", (1.0, 2.0)),
        (
            "QUEUE__TIER_HEAD_START_S",
            '{"pro": 9}',
            "queue.tier_head_start_s",
            {Tier.FREE: 0.0, Tier.STANDARD: 30.0, Tier.PRO: 9.0},
        ),
        ("PRICES__GPU_HOUR_USD", '{"cpu": 0.04}', "prices.gpu_hour_usd", {"cpu": 0.04}),
        ("GATEWAY__CANCEL_ON_DISCONNECT", "false", "gateway.cancel_on_disconnect", False),
        ("LOG__LEVEL", "debug", "log.level", "debug"),
    ],
)
def test_every_kind_of_value_can_come_from_the_environment(
    name: str, text: str, field: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HELIOGRAPH_{name}", text)
    section, _, leaf = field.partition(".")
    assert getattr(getattr(Settings(), section), leaf) == expected


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprt = 1\n", "server.prt"),
        ("[servr]\nport = 1\n", "servr"),
        ("colour = 1\n", "colour"),
        ("[server]\nport = 70000\n", "server.port"),
        ("[fleet]\nworkers = 0\n", "fleet.workers"),
        ('[log]\nlevel = "loud"\n', "log.level"),
    ],
)
def test_a_mistake_in_the_file_is_refused_by_name(text: str, named: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert fields_named(raised.value) == [named]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [("FLEET__WORKRS", "2", "fleet.workrs"), ("SERVER__PORT", "many", "server.port")],
)
def test_a_mistake_in_the_environment_is_refused_by_name(
    name: str, text: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HELIOGRAPH_{name}", text)
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert fields_named(raised.value) == [named]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("SERVR__PORT", "1", "HELIOGRAPH_SERVR__PORT"),
        ("COLOUR", "1", "HELIOGRAPH_COLOUR"),
        ("CONFIG", "/nowhere.toml", "/nowhere.toml"),
        ("SERVER__PORT", "many", "server.port"),
    ],
)
def test_reading_names_what_is_wrong(name: str, text: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"HELIOGRAPH_{name}", text)
    with pytest.raises(InvalidRequest, match=named):
        read_settings()


def test_reading_names_a_broken_file(file: Path) -> None:
    file.write_text("[server\n", encoding="utf-8")
    with pytest.raises(InvalidRequest, match="not valid TOML"):
        read_settings()


def test_settings_are_frozen_down_to_their_sections() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.data_dir = Path("/elsewhere")
    for name in type(settings).model_fields:
        section = getattr(settings, name)
        for field in getattr(type(section), "model_fields", {}):
            with pytest.raises(ValidationError, match="frozen"):
                setattr(section, field, None)


def test_every_setting_says_what_it_means() -> None:
    for name, section in Settings.model_fields.items():
        for leaf, field in getattr(section.annotation, "model_fields", {name: section}).items():
            assert field.description, f"{name}.{leaf}"
            assert field.description.endswith("."), f"{name}.{leaf}"
