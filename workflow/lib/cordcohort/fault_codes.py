"""The stable codes of faults in images, masks and gradient files, and what each means.

A code never changes its meaning: tables, reports and scripts of users group by it. A new fault gets
a new code here; ``docs/integrity.md`` lists them all.
"""

from __future__ import annotations

import re

FAULT_CODES: dict[str, str] = {
    # The file
    "missing": "no such file, or a broken link",
    "pointer": "git-annex or DataLad has not fetched the file",
    "empty": "a file of 0 bytes",
    "unreadable": "no right to read it, or no ordinary file",
    "truncated": "shorter than its header says",
    "size": "much longer than its header says",
    "checksum": "damaged: the gzip checksum does not fit",
    "header": "not a NIfTI file of one part, or a damaged header",
    # What the header says
    "dimensions": "not the number of axes that is wanted",
    "data_type": "voxels that are no real numbers (complex, RGB)",
    "scaling": "a slope or intercept that is not finite",
    "spacing": "voxel sizes that are not positive, or not those of the affine",
    "units": "voxel sizes in metres or micrometres",
    "geometry": "an affine that is not finite, singular or sheared",
    "two_geometries": "qform and sform contradict each other",
    # Values
    "values": "voxel values that cannot be decoded",
    "not_finite": "NaN or infinite voxels",
    "not_binary": "a mask of more than two values",
    "not_soft": "a soft mask outside 0 to 1",
    "not_labels": "a label map of fractions or negative numbers",
    "unknown_labels": "labels that the map's table does not have",
    "label_count": "not one volume of fractions a label",
    "other_kind": "a corrected mask of another kind than the one that was handed out",
    # Mask and image
    "other_grid": "a mask with another shape, voxel size or angle than its image",
    "mirrored_grid": "a mask with an axis that runs the other way: sides may be swapped",
    "shifted_grid": "a mask on its image's grid, but moved",
    "no_image": "neither image nor mask",
    "no_mask": "no usable cord mask",
    "empty_mask": "a mask without a voxel",
    "no_map": "no diffusion map to measure",
    "no_series": "one volume where a diffusion series is needed",
    "no_volume": "no volume of a diffusion series of the kind that is asked for",
    "no_reference": "no reference mask to compare with",
    # Gradients
    "bval_missing": "no file of b-values",
    "bval_text": "a file of b-values that is no table of numbers",
    "bval_values": "b-values that are negative or not finite",
    "bval_count": "not one b-value a volume",
    "bvec_missing": "no file of b-vectors",
    "bvec_text": "a file of b-vectors that is no table of numbers",
    "bvec_shape": "not three numbers a volume",
    "bvec_values": "b-vectors that are not finite",
    "bvec_norm": "b-vectors of weighted volumes that are not of length 1",
    "no_b0": "no volume with b = 0",
    "no_class": "a map of rootlets without the classes that a training asks for",
    "no_point": "a landmark label without one labelled place",
    "no_weighting": "no diffusion-weighted volume",
    "directions": "too few directions for a tensor",
    # The machine
    "memory": "a scan for which the memory of the GPU, or of the machine, has no room",
    # Content
    "changed": "the file is not the one that was used",
}
_CODE = re.compile(r"\[([a-z0-9_]+)\]")


def codes_of(reason: str) -> tuple[str, ...]:
    """Codes that a reason carries, each once, in alphabetical order.

    Examples
    --------
    >>> codes_of("a.nii.gz: [empty] expected an image, got a file of 0 bytes; copy it")
    ('empty',)
    >>> codes_of("no cord found")
    ()
    """
    return tuple(sorted({code for code in _CODE.findall(reason) if code in FAULT_CODES}))


def meaning_of(codes: tuple[str, ...]) -> str:
    """What codes mean, for a heading.

    Examples
    --------
    >>> meaning_of(("empty",))
    '[empty] a file of 0 bytes'
    """
    return "; ".join(f"[{code}] {FAULT_CODES[code]}" for code in codes)
