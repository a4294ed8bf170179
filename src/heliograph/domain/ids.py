"""Names of things. Each is a string with a type of its own, so that a worker id cannot stand in for a job id."""

from typing import NewType

JobId = NewType("JobId", str)
TenantId = NewType("TenantId", str)
ModelId = NewType("ModelId", str)
WorkerId = NewType("WorkerId", str)
GpuId = NewType("GpuId", str)
OutputId = NewType("OutputId", str)
KeyId = NewType("KeyId", str)
EndpointId = NewType("EndpointId", str)
MessageId = NewType("MessageId", str)
CaseId = NewType("CaseId", str)
