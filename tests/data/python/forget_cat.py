"""What a user writes: checked for types, run on the embedded model, and shown in the README."""

import vu_core as vu

model = vu.load_model("emoji")  # or a folder, a hub id, or a pipeline object that you hold
edit = vu.unlearn("uce", model, forget="cat")
with edit.applied(model):
    ...  # here the model has forgotten cats; after the block it is what it was
result = vu.evaluate(model, edit, protocol="emoji-quick@1")
print(result)
print(result["ua", "forget"].after, edit.info["preset"])
vu.write_edit(edit, "cat.safetensors")
