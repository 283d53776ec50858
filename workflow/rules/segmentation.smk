# Masks drawn by models. A job loads its model once and takes a batch of scans through it;
# a record is written for every scan, whatever happened to it.
stage = Stage(
    STAGES,
    "segment_{model}",
    PLAN.segmentation_batches,
    PLAN.torch_models(),
    of_rule="segment",
)


rule segment:
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
        model=one_of(PLAN.torch_models()),
    conda:
        torch_environment("segmentation", PLAN.config.segmentation.device)
    threads: 1
    resources:
        mem_mb=stage.memory_mb("segment"),
        runtime=stage.minutes(5, per_scan=2),
        gpu=int(PLAN.config.segmentation.device == "cuda"),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "segment"),
        model=model_source,
        use=model_use,
        device=PLAN.config.segmentation.device,
        mirror=PLAN.config.segmentation.mirror,
        science=science("segmentation.scans"),
    script:
        "../scripts/segment.py"
