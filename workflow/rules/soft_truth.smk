# Soft ground truth of the cord: the masks of a session, averaged over its contrasts. Of images, but
# after the masks that it is made of; the scans of a session go through one job.
stage = Stage(STAGES, "soft_truth", PLAN.soft_truth_batches)


rule soft_truth:
    input:
        stage.inputs,
    output:
        stage.record,
    log:
        log_of("images", "soft_truth_{batch}"),
    benchmark:
        benchmark_of("images", "soft_truth_{batch}")
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=stage.memory_mb("soft_truth"),
        runtime=stage.minutes(5, per_scan=2),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "soft_truth"),
        options=PLAN.soft_truth_options(),
        left_out=stage.of_each(PLAN.left_out_of_truth),
        science=science("images.derive_truth"),
    script:
        "../scripts/soft_truth.py"
