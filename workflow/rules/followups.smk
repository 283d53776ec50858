# Lesions followed over the sessions of a person. After the masks of all sessions; the scans of a
# subject go through one job.
stage = Stage(STAGES, "followup", PLAN.followup_batches)


rule followup:
    input:
        stage.inputs,
    output:
        stage.record,
    log:
        log_of("measures", "followup_{batch}"),
    benchmark:
        benchmark_of("measures", "followup_{batch}")
    conda:
        "../../envs/measures.yaml"
    threads: 1
    resources:
        mem_mb=stage.memory_mb("measure"),
        runtime=stage.minutes(5, per_scan=2),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "followup"),
        before=stage.of_each(PLAN.scans_before),
        models=PLAN.models(),
        options=PLAN.followup_options(),
        science=science("measures.followup_rows", "measures.tasks"),
    script:
        "../scripts/followup.py"
