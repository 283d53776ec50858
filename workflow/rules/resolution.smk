# Scans brought to other voxel sizes and segmented there, where the config asks for it; the kind of
# measure `resolution` measures them.
stage = Stage(
    STAGES,
    "segment_resampled_{model}",
    PLAN.resolution_batches,
    PLAN.torch_models(),
    of_rule="segment_resampled",
)


rule segment_resampled:
    input:
        stage.inputs,
        model=model_files,
    output:
        stage.record,
    log:
        log_of("segmentation", "resampled_{model}_{batch}"),
    benchmark:
        benchmark_of("segmentation", "resampled_{model}_{batch}")
    wildcard_constraints:
        model=one_of(PLAN.torch_models()),
    conda:
        torch_environment("segmentation", PLAN.config.segmentation.device)
    threads: 1
    resources:
        mem_mb=stage.memory_mb("segment"),
        runtime=stage.minutes(5, per_file=2),
        gpu=int(PLAN.config.segmentation.device == "cuda"),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "segment_resampled"),
        model=model_source,
        use=model_use,
        device=PLAN.config.segmentation.device,
        mirror=PLAN.config.segmentation.mirror,
        sizes_mm=list(PLAN.config.measures.voxel_sizes_mm),
        science=science("segmentation.scans"),
    script:
        "../scripts/segment_resampled.py"


as_stage("segment_resampled", "segment")
