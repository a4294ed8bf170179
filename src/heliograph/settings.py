"""One frozen tree of settings, read once at start.

Sources, the later ones win: defaults that work on a laptop, the TOML file named by `HELIOGRAPH_CONFIG`, environment
variables `HELIOGRAPH_<SECTION>__<FIELD>`, the command line. A name nobody knows is refused wherever it stands. Each
object is given only its branch. `docs/reference/settings.md` lists every field; a test keeps it complete.
"""

import os
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from typing_extensions import override

from heliograph.domain.accounts import LOCAL_CALLER
from heliograph.domain.billing_records import Component
from heliograph.domain.errors import InvalidRequest
from heliograph.domain.pictures import FileFormat, ParametersMode
from heliograph.domain.tiers import Tier

ENV_PREFIX = "HELIOGRAPH_"
CONFIG_VARIABLE = "HELIOGRAPH_CONFIG"
NOT_SETTINGS = frozenset({CONFIG_VARIABLE, "HELIOGRAPH_API_KEY"})
"""Variables of ours that are no settings of the server."""

TENANT_PARAMETERS: dict[str, ParametersMode] = {LOCAL_CALLER.tenant_id: ParametersMode.FULL}
TIER_HEAD_START_S = {Tier.FREE: 0.0, Tier.STANDARD: 30.0, Tier.PRO: 120.0}


class Section(BaseModel):
    """A frozen branch that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Section):
    """Where the HTTP server listens and how long it drains."""

    host: str = Field(default="127.0.0.1", description="Address to bind. Anything but loopback needs API keys.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to bind; 0 picks a free one.")
    drain_s: float = Field(
        default=20.0, ge=0, description="Seconds that running jobs get to finish on Ctrl-C or SIGTERM."
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$",
        description="What the outside calls this server, for links in webhooks; by default where it listens.",
    )


class GatewaySettings(Section):
    """Limits and manners of the HTTP API."""

    body_bytes_max: int = Field(default=1_048_576, gt=0, description="Largest request body in bytes.")
    upload_bytes_max: int = Field(
        default=32 * 1024**2, gt=0, description="Largest body of a call that sends pictures, in bytes."
    )
    pictures_max: int = Field(
        default=16, ge=1, le=100, description="Pictures a request may start from, its mask aside."
    )
    hold_s_max: float = Field(
        default=95.0, gt=0, description="Longest a synchronous image call is held; proxies cut at 100 s."
    )
    heartbeat_s: float = Field(
        default=8.0, gt=0, le=10, description="Seconds between comments on an idle event stream."
    )
    progress_interval_s: float = Field(
        default=0.25, ge=0, description="Shortest time between two progress events of one stream."
    )
    idempotency_ttl_s: float = Field(default=86_400.0, gt=0, description="How long an Idempotency-Key is remembered.")
    link_ttl_s: float = Field(default=3_600.0, gt=0, description="How long a signed picture link works.")
    cancel_on_disconnect: bool = Field(
        default=True, description="Cancel a job whose synchronous or streaming OpenAI caller hangs up."
    )
    model_aliases: dict[str, str] = Field(
        default_factory=dict, description="Extra model names: what a client sends = what it gets."
    )


class LimitSettings(Section):
    """Bounds on what callers may do at once and in a minute; the queue has its own. Beyond them calls get 429."""

    requests_per_minute: dict[Tier, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict, description="Calls a tenant of a tier may make in a minute; no bound by default."
    )
    submissions_per_minute: dict[Tier, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict, description="How many of them may submit a job; no bound by default."
    )
    open_calls_max: int = Field(default=1_800, gt=0, description="Calls open at once, streams and held ones included.")
    open_calls_max_per_tenant: int = Field(default=1_200, gt=0, description="How many of them one tenant may have.")
    body_bytes_held_max: int = Field(
        default=64 * 1024**2, gt=0, description="Bytes of request bodies being read or worked on at once."
    )


class IntakeSettings(Section):
    """Pictures that requests start from."""

    bytes_max: int = Field(default=20 * 1024**2, gt=0, description="Largest file of one picture.")
    pixels_max: int = Field(default=50_000_000, gt=0, description="Most pixels of one, width times height.")
    frames_max: int = Field(default=1, ge=1, description="Most frames; of an animation the first is taken.")
    stored_pixels_max: int = Field(
        default=4 * 1024**2, gt=0, description="A picture with more pixels is scaled down to so many."
    )
    tenant_bytes_max: int = Field(
        default=4 * 1024**3, gt=0, description="Bytes of pictures a tenant may bring in within `keep_s` seconds."
    )
    fetch_timeout_s: float = Field(default=10.0, gt=0, le=60, description="Longest the fetching of one may take.")
    keep_s: float = Field(
        default=86_400.0, ge=3_600, description="How long a picture that no open job needs is kept for the next one."
    )


class WebhookSettings(Section):
    """Telling others about jobs."""

    timeout_s: float = Field(default=15.0, gt=0, le=60, description="Longest a receiver may take to answer.")
    retry_delays_s: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(5, 60, 300, 1_800, 7_200, 14_400, 21_600, 36_000),
        description="Seconds from a failed try to the next; after the last one the message is given up.",
    )
    retry_jitter: float = Field(default=0.1, ge=0, le=1, description="Share of such a wait that chance may add to it.")
    log_s: float = Field(
        default=7 * 86_400.0, gt=0, description="How long messages and their tries are kept, delivered or not."
    )
    endpoints_max_per_tenant: int = Field(default=20, ge=0, description="Endpoints one tenant may have.")


class OutboundSettings(Section):
    """What the server may call on behalf of users: public addresses over https, and these."""

    allowed_networks: tuple[str, ...] = Field(
        default=(), description="Networks that may be called though they are not public, there also over http."
    )

    @field_validator("allowed_networks")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            ip_network(name)
        return value


class FleetSettings(Section):
    """The workers of this machine."""

    workers: int | None = Field(
        default=None, ge=1, le=256, description="Worker slots; by default one per CPU core, at most 4."
    )
    slot_memory_bytes: int = Field(default=2 * 1024**3, gt=0, description="Memory a worker may be given, in bytes.")
    models_per_slot: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Models a slot may hold at once, as far as its memory allows; one of them runs at a time.",
    )
    always_warm: tuple[str, ...] = Field(
        default=("helio-base",), description="Models loaded at start and never evicted while idle."
    )
    idle_ttl_s: float | None = Field(
        default=None,
        gt=0,
        description="Fixed time after which an idle model is unloaded; by default it follows from the demand.",
    )
    idle_min_s: float = Field(
        default=300.0, ge=0, description="An idle model stays loaded at least so long, unless its room is needed."
    )
    saved_s_worth: float = Field(
        default=100.0, gt=0, description="Seconds a GPU may idle for one expected second of a user's waiting saved."
    )
    load_timeout_s: float = Field(default=120.0, gt=0, description="A worker not ready by then is killed.")
    lease_s: float = Field(
        default=10.0,
        gt=0,
        description="A worker that gives no sign of life for so long is killed; its job runs elsewhere.",
    )
    step_timeout_s: float = Field(default=60.0, gt=0, description="A run without a step for so long is killed.")
    abort_grace_s: float = Field(default=2.0, gt=0, description="A worker that has not stopped by then is killed.")
    checkpoint_every_s: float = Field(
        default=15.0,
        ge=0,
        description="Seconds of work after which what is done of a run is kept, each time; 0: only when it pauses.",
    )
    checkpoint_bytes_max: int = Field(
        default=1024**3, ge=0, description="Bytes of all kept runs together; beyond it no more are kept."
    )
    weights_dir: Path | None = Field(
        default=None, description="Where fetched weights are kept; by default `weights/` in the data directory."
    )
    preview_every: int = Field(default=1, ge=0, description="Steps between previews; 0 turns them off.")
    testing_models: bool = Field(default=False, description="Offer the fake engine's models, for tests.")
    fake_engine_options: str = Field(default="{}", description="JSON options of the fake engine, for tests.")


class QueueSettings(Section):
    """Bounds and weights of the queue; what they mean is in `scheduling/policy.py`."""

    pending_max: int = Field(default=10_000, gt=0, description="Jobs waiting in all; beyond it submissions get 429.")
    pending_max_per_tenant: int = Field(default=5_000, gt=0, description="Jobs one tenant may have waiting.")
    pending_max_per_user: int = Field(
        default=5_000, gt=0, description="Jobs one end user of a tenant may have waiting."
    )
    running_max_per_tenant: int | None = Field(
        default=None, ge=1, description="Jobs of one tenant on workers at once; no bound by default."
    )
    running_max_per_user: int | None = Field(
        default=None, ge=1, description="Jobs of one end user on workers at once; no bound by default."
    )
    tenant_weight: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="What a tenant is due of the whole, relative to the 1.0 of the others."
    )
    fairness_price: float = Field(
        default=1.0,
        ge=0,
        description="Seconds of waiting one GPU-second of lead over other tenants costs; 0: no turns.",
    )
    wait_s_max: dict[Tier, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="Longest expected wait of a tier; beyond it its submissions get 429."
    )
    tier_head_start_s: dict[Tier, float] = Field(
        default=TIER_HEAD_START_S, description="Seconds of waiting a tier is ahead; one left out keeps its own."
    )
    cost_weight: float = Field(default=1.0, ge=0, description="Seconds of waiting one estimated GPU-second costs.")
    attempts_max: int = Field(default=3, ge=1, description="Failed attempts after which a job is given up.")
    backoff_s: tuple[float, ...] = Field(default=(0.0, 2.0, 10.0), description="Wait before the 2nd, 3rd, ... attempt.")
    reseeds_max: int = Field(default=2, ge=0, description="How often a quality gate may ask for other seeds.")

    @field_validator("tier_head_start_s")
    @classmethod
    def _keep_other_tiers(cls, value: dict[Tier, float]) -> dict[Tier, float]:
        return TIER_HEAD_START_S | value


class QualitySettings(Section):
    """What the gates make of a picture unlike its prompt, for models whose pictures are judged."""

    alignment_min: float | None = Field(
        default=None, ge=0, le=1, description="Least alignment that is not flagged; by default what the judge advises."
    )
    reseeds_low_alignment: bool = Field(
        default=False, description="Try other seeds for such a picture, up to `queue.reseeds_max`, before flagging it."
    )
    damaged: Literal["ignore", "flag", "regenerate", "block"] = Field(
        default="flag",
        description="What becomes of a picture that looks noisy, blurred, blocky, ... beside its model's own.",
    )


class TenantModeration(Section):
    """What is another way for one tenant; what is left out is as for everybody."""

    flagged: Literal["deliver", "hold"] | None = None
    review_min: float | None = Field(default=None, gt=0, le=1)
    block_min: float | None = Field(default=None, gt=0, le=1)


class ModerationSettings(Section):
    """The content filter of prompts, the safety check of pictures, and what people look at."""

    policy: Path | None = Field(
        default=None, description="TOML file with the content policy; it is read again whenever it changes."
    )
    weights: Path | None = Field(
        default=None, description="Weights that `heliograph moderation train` made; by default those that ship."
    )
    flagged: Literal["deliver", "hold"] = Field(
        default="deliver",
        description="A picture in which something was found, or in its prompt: delivered, or held for a decision.",
    )
    pictures: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="Safety check of finished pictures: where `heliograph[safety]` is installed, always, or never.",
    )
    review_min: float = Field(default=0.5, gt=0, le=1, description="Score from which a picture becomes a case.")
    block_min: float = Field(default=0.8, gt=0, le=1, description="Score from which a picture is not delivered at all.")
    tenants: dict[str, TenantModeration] = Field(
        default_factory=dict, description="Other `flagged`, `review_min` and `block_min` of single tenants."
    )
    keep_cases_s: float | None = Field(
        default=None, ge=3_600, description="Decided cases are deleted after so many seconds; by default none is."
    )


class StoreSettings(Section):
    """The database."""

    url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL database, postgresql://user@host:5432/name; by default SQLite in the data directory.",
    )
    keep_jobs_s: float | None = Field(
        default=None,
        ge=3_600,
        description="Ended jobs are deleted after so many seconds, with their pictures; by default nothing is deleted.",
    )


class PictureSettings(Section):
    """Where pictures are kept, and with which keys."""

    url: str | None = Field(
        default=None,
        pattern=r"^(s3|gs|az|file)://[^\s?#]+$",
        description="Object store, s3://bucket/prefix, gs://… or az://…; by default `blobs/` in the data directory.",
    )
    options: dict[str, str] = Field(
        default_factory=dict, description="Options of the object store, such as `endpoint` and `region`."
    )
    secret_options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Secret ones, such as `secret_access_key`; by default those of the provider's own variables.",
    )
    timeout_s: float = Field(default=10.0, gt=0, le=300, description="Longest a call of the object store may take.")
    watch_s: float = Field(
        default=5.0, gt=0, le=300, description="Seconds between two looks whether the pictures' medium is there."
    )
    encrypt: bool = Field(default=False, description="Encrypt each tenant's pictures with a key of its own.")
    tenant_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Keys that tenants brought, 32 bytes in base64; their pictures are always encrypted with them.",
    )


class LinkSettings(Section):
    """Links to pictures through a caching edge or CDN."""

    base_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+$",
        description="What the outside calls the edge; by default links lead to this server.",
    )
    signing: Literal["none", "nginx", "cloudfront"] = Field(
        default="none", description="Signature that the edge checks, besides this server's own."
    )
    secret: SecretStr | None = Field(default=None, description="Secret of nginx's links, the same as in its file.")
    key_id: str | None = Field(default=None, description="Id of CloudFront's public key.")
    private_key_file: Path | None = Field(default=None, description="PEM file of the private key to it.")
    edge_ttl_s: float = Field(
        default=86_400.0, ge=0, description="How long the edge may keep a copy, with `signing` other than `none`."
    )
    stale_s: float = Field(
        default=600.0, ge=0, description="How long after that it may show it while it asks for a fresh one."
    )
    purge: Literal["none", "cloudflare"] = Field(default="none", description="How the edge is told of a deletion.")
    purge_url: str | None = Field(default=None, description="Where: Cloudflare's call `…/zones/ID/purge_cache`.")
    purge_token: SecretStr | None = Field(default=None, description="Bearer token of that call.")
    presigned: bool = Field(
        default=False,
        description="Send readers of pictures on to the object store, which serves them itself; not encrypted ones.",
    )


class RetentionRuleSettings(Section):
    """When a picture moves on, in days since it was delivered; what is left out never happens."""

    delete_after_days: float | None = Field(default=None, ge=0)


class RetentionSettings(Section):
    """How long pictures stay; a star keeps one from being deleted, a hold from everybody."""

    plans: dict[Tier, RetentionRuleSettings] = Field(
        default_factory=dict,
        description="By tier of the job: `delete_after_days`, counted from delivery. By default pictures stay.",
    )
    tenants: dict[str, RetentionRuleSettings] = Field(
        default_factory=dict, description="The same for single tenants, instead of their plan's."
    )


class DeliverySettings(Section):
    """Post-processing."""

    processes: int = Field(default=1, ge=1, le=64, description="Processes that judge and encode pictures.")
    variants: tuple[FileFormat, ...] = Field(
        default=(FileFormat.WEBP, FileFormat.AVIF),
        description="Formats that stills are also made in after delivery, when nobody waits: webp, avif.",
    )
    fidelity: float = Field(
        default=0.955, ge=0.5, le=0.999, description="How much of a picture they keep, from 0 to 1; quality follows."
    )
    variant_bytes_max: int | None = Field(
        default=None, ge=10_000, description="Most bytes of such a file of full size; below it quality gives way."
    )
    backlog_max: int = Field(
        default=64,
        ge=0,
        le=10_000,
        description="Pictures that may wait for it; others are made when they are asked for.",
    )

    @field_validator("variants")
    @classmethod
    def _only_lossy(cls, value: tuple[FileFormat, ...]) -> tuple[FileFormat, ...]:
        allowed = (FileFormat.WEBP, FileFormat.AVIF)
        if not set(value) <= set(allowed):
            raise ValueError(f"only {' and '.join(allowed)} are made unasked; others are made when somebody wants them")
        return value


class ProvenanceSettings(Section):
    """What files say about where they come from, and who signs that."""

    sign: bool = Field(default=True, description="Sign every file (C2PA), with a certificate made at first start.")
    certificate: Path | None = Field(
        default=None, description="PEM chain of your own certificate, the signer's first; instead of the local one."
    )
    key: Path | None = Field(default=None, description="PEM key of that certificate, without a passphrase.")
    sign_command: tuple[str, ...] = Field(
        default=(),
        description="Program that signs instead of a key: bytes on its standard input, their signature on its output.",
    )
    trust_anchors: Path | None = Field(
        default=None, description="PEM roots that `verify` trusts besides its own, such as the C2PA trust list."
    )
    parameters: ParametersMode = Field(
        default=ParametersMode.MINIMAL,
        description="What files say of the request: full (prompts, too), minimal (no words of the user) or none.",
    )
    tenant_parameters: dict[str, ParametersMode] = Field(
        default=TENANT_PARAMETERS,
        description="The same for single tenants; `local` is everybody while there are no keys.",
    )
    shared_parameters: ParametersMode = Field(
        default=ParametersMode.MINIMAL, description="The most that a file says which is fetched by a link."
    )

    @field_validator("tenant_parameters")
    @classmethod
    def _keep_local(cls, value: dict[str, ParametersMode]) -> dict[str, ParametersMode]:
        return TENANT_PARAMETERS | value


class PriceSettings(Section):
    """What things cost the operator, in dollars; added to the built-in price book."""

    gpu_hour_usd: dict[str, float] = Field(
        default_factory=dict,
        description="Dollars per GPU-hour by class (`H100`), class and market (`H100:spot`), and zone (`H100:spot:a`).",
    )
    service_usd: dict[Component, float] = Field(
        default_factory=dict,
        description="Dollars per core-hour (`api_cpu`, `queue_cpu`, `safety_cpu`, `postprocess_cpu`), GB-month "
        "(`storage`), GB (`egress`) and reviewer's hour (`moderation`).",
    )
    tier_factor: dict[Tier, float] = Field(
        default_factory=dict, description="What each tier pays per dollar of GPU cost; 1.0 by default."
    )


class PlanSettings(Section):
    """What a tenant of one plan may order in a calendar month (UTC)."""

    pictures_per_month: int | None = Field(default=None, ge=0, description="Pictures that may be ordered.")
    soft_usd_per_month: float | None = Field(default=None, ge=0, description="Dollars whose passing is told.")
    hard_usd_per_month: float | None = Field(default=None, ge=0, description="Dollars beyond which it is refused.")
    prepaid: bool = Field(default=False, description="No more is sold than there is credit for.")


class BillingSettings(Section):
    """Plans and who has which; without any, everybody may order as much as they like."""

    plans: dict[str, PlanSettings] = Field(
        default_factory=dict,
        description="Plans by name: `pictures_per_month`, `soft_usd_per_month`, `hard_usd_per_month`, `prepaid`.",
    )
    plan_of: dict[str, str] = Field(default_factory=dict, description="Names of plans by tenant.")
    default_plan: str | None = Field(default=None, description="Plan of tenants that are not in `plan_of`.")
    usage_url: str | None = Field(default=None, description="Where every charge is told, as a signed webhook.")
    usage_format: str = Field(
        default="openmeter", pattern="^(openmeter|stripe)$", description="The shape of those events."
    )


class CatalogueSettings(Section):
    """Files that override and extend the shipped catalogue and presets."""

    file: Path | None = Field(default=None, description="TOML file with models and aliases.")
    presets: Path | None = Field(default=None, description="TOML file with style presets.")


class LogSettings(Section):
    """Logs go to stderr."""

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$", description="Least severe level shown.")
    json_lines: bool = Field(default=False, description="One JSON object per line instead of text for people.")


class ObjectiveSettings(Section):
    """What share of jobs has to go well, over thirty days."""

    target: float = Field(gt=0, lt=1, description="Share of the jobs that have to be good, such as 0.995.")
    within_s: float | None = Field(
        default=None, gt=0, description="A good job is completed within so many seconds; by default in any time."
    )
    tier: Tier | None = Field(default=None, description="Jobs of this tier only.")
    model: str | None = Field(default=None, description="Jobs of this model only.")


class TelemetrySettings(Section):
    """What is counted, and to whom it is sent."""

    enabled: bool = Field(default=True, description="Count, watch and diagnose; logs are written anyhow.")
    tenants_max: int = Field(
        default=0, ge=0, le=1_000, description="Tenants that metrics tell apart by name; the rest is `other`."
    )
    objectives: dict[str, ObjectiveSettings] = Field(
        default_factory=dict,
        description="Objectives by name; by default 99.5% completed, and 95% of tier pro within a minute.",
    )
    otlp_url: str | None = Field(
        default=None, description="OpenTelemetry collector, http://127.0.0.1:4318; by default nothing is sent."
    )
    otlp_headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers it wants, such as `Authorization`."
    )
    otlp_interval_s: float = Field(default=15.0, gt=0, le=600, description="Seconds between two calls of it.")
    trace_share: float = Field(default=1.0, ge=0, le=1, description="Share of the jobs whose traces are sent.")


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/heliograph`, or `~/.local/share/heliograph`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "heliograph"


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", toml_file=None
    )

    data_dir: Path = Field(default_factory=default_data_dir, description="Where jobs, ledger and pictures are kept.")
    server: ServerSettings = ServerSettings()
    gateway: GatewaySettings = GatewaySettings()
    limits: LimitSettings = LimitSettings()
    intake: IntakeSettings = IntakeSettings()
    webhooks: WebhookSettings = WebhookSettings()
    outbound: OutboundSettings = OutboundSettings()
    fleet: FleetSettings = FleetSettings()
    queue: QueueSettings = QueueSettings()
    quality: QualitySettings = QualitySettings()
    moderation: ModerationSettings = ModerationSettings()
    store: StoreSettings = StoreSettings()
    pictures: PictureSettings = PictureSettings()
    links: LinkSettings = LinkSettings()
    retention: RetentionSettings = RetentionSettings()
    delivery: DeliverySettings = DeliverySettings()
    provenance: ProvenanceSettings = ProvenanceSettings()
    prices: PriceSettings = PriceSettings()
    billing: BillingSettings = BillingSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file."""
        file = os.environ.get(CONFIG_VARIABLE)
        if file is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=Path(file))


def read_settings(*, data_dir: Path | None = None) -> Settings:
    """The settings in force; `data_dir` is the command line's. Raises `InvalidRequest` naming what is wrong."""
    file = os.environ.get(CONFIG_VARIABLE)
    if file is not None and not Path(file).is_file():
        raise InvalidRequest(f"{CONFIG_VARIABLE} names {file}, which is not a file", param=CONFIG_VARIABLE)
    for name in os.environ:
        section = name.removeprefix(ENV_PREFIX).partition("__")[0].lower()
        if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS and section not in Settings.model_fields:
            known = ", ".join(Settings.model_fields)
            raise InvalidRequest(f"{name} is not a setting: there is no {section!r} among {known}", param=name)
    try:
        return Settings() if data_dir is None else Settings(data_dir=data_dir)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{file} is not valid TOML: {error}", param=CONFIG_VARIABLE) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"setting {field}: {first['msg']}", param=field) from error
