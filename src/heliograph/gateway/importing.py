"""`POST /v1/import`: what a picture's file says of how it was made, in the words of a job."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.domain.errors import InvalidRequest
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.form_body import is_form, read_form
from heliograph.gateway.json_body import read_json
from heliograph.gateway.submissions import refuse_unknown
from heliograph.gateway.wire import adjustments_json, to_json
from heliograph.prompts.fitting import Imported
from heliograph.prompts.values import invalid, shown

FIELDS = ("file", "text", "model")


def import_router(context: Context) -> APIRouter:
    """`/v1/import`."""
    router = APIRouter(prefix="/v1/import", tags=["Pictures"], default_response_class=Response)

    @router.post("", **openapi.IMPORT)
    async def import_settings(request: Request) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            picture, text, model = await _given(request)
            imported = await context.service.imported(picture, text, model=model)
        return Response(to_json(imported_json(imported)), media_type="application/json")

    return router


async def _given(request: Request) -> tuple[bytes | None, str, str | None]:
    """The picture's file or else the text, and the model to fit to."""
    if is_form(request):
        form = await read_form(request)
        refuse_unknown([*form.fields, *(file.field for file in form.files)], FIELDS)
        fields, files = form.fields, form.files
    else:
        fields, files = (await read_json(request)).fields, ()
        refuse_unknown(fields, ("text", "model"))
    text, model = fields.get("text"), fields.get("model")
    if len(files) + (text is not None) != 1:
        raise InvalidRequest("Send one picture as file, or its settings as text.", param="file", code="invalid_inputs")
    for name, value in (("text", text), ("model", model)):
        if value is not None and not isinstance(value, str):
            raise invalid(name, f"{name} must be a string, not {shown(value)}.")
    return files[0].data if files else None, str(text or ""), None if model is None else str(model)


def imported_json(imported: Imported) -> dict[str, object]:
    """What was found on the wire; `settings` can be sent to `POST /v1/jobs` as they are."""
    model = None if imported.card is None else imported.card.model_id
    return {
        "object": "import",
        "source": imported.found.tool.value,
        "model": model,
        "found_model": imported.found.model,
        "settings": {**imported.fields, **({} if model is None else {"model": model})},
        "left_out": [{"name": name, "value": value} for name, value in imported.found.left_out.items()],
        "adjustments": adjustments_json(imported.changes),
    }
