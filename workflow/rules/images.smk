# Images derived from images: diffusion series without motion, and the mean b=0 image that networks see.
stage = Stage(STAGES, "mean_b0", PLAN.b0_batches)


rule mean_b0:
    input:
        stage.inputs,
    output:
        stage.record,
    log:
        log_of("images", "mean_b0_{batch}"),
    benchmark:
        benchmark_of("images", "mean_b0_{batch}")
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=stage.memory_mb("mean_b0"),
        runtime=stage.minutes(5, per_scan=2),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "mean_b0"),
        options=PLAN.series_options(),
        science=science("images.derive"),
    script:
        "../scripts/mean_b0.py"
