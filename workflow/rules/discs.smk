# Intervertebral discs, detected where nobody labelled levels: after the cord masks, along which they
# are looked for. A record is written for every scan, whatever happened to it.
stage = Stage(STAGES, "discs", PLAN.disc_batches)


rule discs:
    input:
        stage.inputs,
        model=PLAN.model_files(DISC_MODEL),
    output:
        stage.record,
    log:
        log_of("segmentation", "discs_{batch}"),
    benchmark:
        benchmark_of("segmentation", "discs_{batch}")
    conda:
        "../../envs/segmentation.yaml"
    threads: 1
    resources:
        mem_mb=stage.memory_mb("discs"),
        runtime=stage.minutes(5, per_scan=1),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "discs"),
        models=PLAN.cord_models(),
        science=science("segmentation.discs"),
    script:
        "../scripts/discs.py"
