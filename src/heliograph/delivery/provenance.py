"""What a delivered file says about where it comes from: an XMP packet and a manifest that call it machine-made.

`DigitalSourceType` is the IPTC's property for it (cv.iptc.org/newscodes/digitalsourcetype): one term for what a trained
model made from words alone, another for what it made of somebody's picture. The packet also names the AI system, and,
only where the tenant wants that, the prompt (IPTC Photo Metadata 2025.1). The manifest says the same under a
signature over every byte of the file (C2PA), which is why it is written last.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

from heliograph import __version__
from heliograph.delivery.parameters import PictureParameters, format_parameters, settings_line
from heliograph.domain.ids import TenantId
from heliograph.domain.pictures import ParametersMode

NAME = "Heliograph"
SOFTWARE = f"heliograph {__version__}"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
DIGITAL_SOURCE_TYPE = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
EDITED_SOURCE_TYPE = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, not even escaped."""

_PROMPT_BYTES_MAX = 50_000
"""The packet of a JPEG file has to fit a segment of 64 KiB; a longer prompt stays out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What the operator wants written into a tenant's files.

    `shared` is the most that files say which are handed out by link. `made_at_s` is when the picture was made, in
    seconds since the epoch, for the manifest; None leaves it out. `is_edit`: it was made of somebody's picture, and
    `ingredient` is the file of that, None where it is not at hand.
    """

    parameters: ParametersMode = ParametersMode.FULL
    shared: ParametersMode = ParametersMode.MINIMAL
    made_at_s: float | None = None
    is_edit: bool = False
    ingredient: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StampPolicy:
    """What files say by tenant: `parameters` of all but those `of_tenant` names, and `shared` by link."""

    parameters: ParametersMode = ParametersMode.FULL
    of_tenant: Mapping[str, ParametersMode] = field(default_factory=dict[str, ParametersMode])
    shared: ParametersMode = ParametersMode.MINIMAL

    def has_secrets(self, mode: ParametersMode) -> bool:
        """A file of that mode says more than whoever has a link to it is to know."""
        return mode.at_most(self.shared) is not mode

    def stamp(self, tenant_id: TenantId, *, made_at_s: float, is_edit: bool = False) -> Stamp:
        """What to write into a picture of that tenant."""
        mode = self.of_tenant.get(tenant_id, self.parameters)
        return Stamp(parameters=mode, shared=self.shared, made_at_s=made_at_s, is_edit=is_edit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """What is written into one file. `parameters` None: none are; `short_parameters` stand in where they do not fit."""

    xmp: str
    software: str = SOFTWARE
    parameters: str | None = None
    short_parameters: str | None = None


def imprint(parameters: PictureParameters, mode: ParametersMode, *, is_edit: bool = False) -> Imprint:
    """What a file of these parameters says in this mode."""
    line = None if mode is ParametersMode.NONE else settings_line(parameters)
    return Imprint(
        xmp=xmp_packet(parameters, mode, is_edit=is_edit),
        parameters=format_parameters(parameters) if mode.has_prompts else line,
        short_parameters=line,
    )


def xmp_packet(parameters: PictureParameters, mode: ParametersMode, *, is_edit: bool = False) -> str:
    """The XMP packet as text. Nothing that a prompt holds can break out of it."""
    properties = {
        "Iptc4xmpExt:DigitalSourceType": EDITED_SOURCE_TYPE if is_edit else DIGITAL_SOURCE_TYPE,
        "xmp:CreatorTool": SOFTWARE,
    }
    if mode is not ParametersMode.NONE:
        properties |= {"Iptc4xmpExt:AISystemUsed": parameters.model, "Iptc4xmpExt:AISystemVersionUsed": SOFTWARE}
    if mode.has_prompts and len(_attribute(parameters.prompt).encode()) <= _PROMPT_BYTES_MAX:
        properties["Iptc4xmpExt:AIPromptInformation"] = parameters.prompt
    attributes = "".join(f"\n    {name}={_attribute(value)}" for name, value in properties.items())
    return f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"{attributes}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def manifest(model: str, stamp: Stamp, *, made_at: str | None = None) -> dict[str, object]:
    """The C2PA manifest to sign, as c2pa-python reads it: made by a machine, by which model, `made_at` (RFC 3339)."""
    # An edit begins with opening its ingredient, which the signer says; without one the picture begins here.
    action: dict[str, object] = {
        "action": "c2pa.created" if stamp.ingredient is None else "c2pa.edited",
        "digitalSourceType": EDITED_SOURCE_TYPE if stamp.is_edit else DIGITAL_SOURCE_TYPE,
        "softwareAgent": _agent(model, stamp.parameters),
    }
    if made_at is not None:
        action["when"] = made_at
    return {
        "claim_generator_info": [{"name": NAME, "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}, "created": True}],
    }


def _agent(model: str, mode: ParametersMode) -> dict[str, str]:
    named = NAME if mode is ParametersMode.NONE else model
    return {"name": named, "version": __version__}


def _attribute(value: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", value), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
