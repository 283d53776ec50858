# Masks by nnU-Net v2, in an environment of its own: models that the study trained so, or that were
# published as nnU-Net model folders; on the scans, and on scans brought to other voxel sizes.
stage = Stage(
    STAGES,
    "segment_{model}",
    PLAN.segmentation_batches,
    PLAN.nnunet_models(),
    of_rule="segment_nnunet",
)


rule segment_nnunet:
    input:
        stage.inputs,
        model=model_files,
    output:
        stage.record,
    log:
        log_of("segmentation", "{model}_{batch}"),
    benchmark:
        benchmark_of("segmentation", "{model}_{batch}")
    wildcard_constraints:
        model=one_of(PLAN.nnunet_models()),
    conda:
        torch_environment("nnunet", PLAN.config.segmentation.device)
    threads: 1
    resources:
        mem_mb=stage.memory_mb("nnunet"),
        runtime=stage.minutes(10, per_scan=10),
        gpu=int(PLAN.config.segmentation.device == "cuda"),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "segment_nnunet"),
        model=model_source,
        use=model_use,
        device=PLAN.config.segmentation.device,
        mirror=PLAN.config.segmentation.mirror,
        science=science("segmentation.scans", "nnunet.model"),
    script:
        "../scripts/segment_nnunet.py"


as_stage("segment_nnunet", "segment")


stage = Stage(
    STAGES,
    "segment_resampled_{model}",
    PLAN.resolution_batches,
    PLAN.nnunet_models(),
    of_rule="segment_nnunet_resampled",
)


rule segment_nnunet_resampled:
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
        model=one_of(PLAN.nnunet_models()),
    conda:
        torch_environment("nnunet", PLAN.config.segmentation.device)
    threads: 1
    resources:
        mem_mb=stage.memory_mb("nnunet"),
        runtime=stage.minutes(10, per_file=10),
        gpu=int(PLAN.config.segmentation.device == "cuda"),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "segment_nnunet_resampled"),
        model=model_source,
        use=model_use,
        device=PLAN.config.segmentation.device,
        mirror=PLAN.config.segmentation.mirror,
        sizes_mm=list(PLAN.config.measures.voxel_sizes_mm),
        science=science("segmentation.scans", "nnunet.model"),
    script:
        "../scripts/segment_resampled_nnunet.py"


as_stage("segment_nnunet_resampled", "segment")
