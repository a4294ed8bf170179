"""`POST /v1/inputs`: a picture is stored once, and requests name it."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from heliograph.domain.errors import InvalidRequest
from heliograph.domain.intake import PictureRole, UploadedPicture
from heliograph.gateway import openapi
from heliograph.gateway.context import Context
from heliograph.gateway.form_body import read_form
from heliograph.gateway.submissions import refuse_unknown
from heliograph.gateway.wire import adjustments_json, to_json
from heliograph.prompts.values import choice


def inputs_router(context: Context) -> APIRouter:
    """`/v1/inputs`."""
    router = APIRouter(prefix="/v1/inputs", tags=["Pictures"], default_response_class=Response)

    @router.post("", **openapi.UPLOAD)
    async def upload(request: Request) -> Response:
        caller = context.caller(request)
        with context.recording_refusals(caller):
            form = await read_form(request)
            refuse_unknown([*form.fields, *(file.field for file in form.files)], ("file", "purpose"))
            if len(form.files) != 1:
                raise InvalidRequest("Send one picture, as the file of the field file.", param="file")
            purpose = form.fields.get("purpose", "image")
            role = PictureRole(choice(purpose, param="purpose", choices=[each.value for each in PictureRole]))
            uploaded = await context.service.upload(form.files[0].data, role=role, param="file", caller=caller)
        return Response(to_json(uploaded_json(uploaded)), status_code=HTTPStatus.CREATED, media_type="application/json")

    return router


def uploaded_json(uploaded: UploadedPicture) -> dict[str, object]:
    """An upload on the wire."""
    return {
        "id": uploaded.upload_id,
        "object": "input",
        "purpose": uploaded.role.value,
        "width": uploaded.width_px,
        "height": uploaded.height_px,
        "bytes": uploaded.size_bytes,
        "kept_until": uploaded.kept_until_s,
        "adjustments": adjustments_json(uploaded.changes),
    }
