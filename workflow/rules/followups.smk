# Lesions followed over the sessions of a person. After the masks of all sessions; the scans of a
# subject go through one job.
for batch in PLAN.followup_batches():

    rule:
        name:
            batch.rule
        input:
            inputs_of(batch),
        output:
            batch.record,
        log:
            log_of("measures", f"followup_{batch.name}"),
        benchmark:
            benchmark_of("measures", f"followup_{batch.name}")
        conda:
            "../../envs/measures.yaml"
        threads: 1
        resources:
            mem_mb=batch_memory_mb("measure", batch),
            runtime=minutes(5 + 2 * len(batch.scans)),
        params:
            scans=batch.scans,
            files=batch.outputs,
            identity=batch.identity,
            each=each_scan(batch),
            before=PLAN.scans_before(batch),
            models=PLAN.models(),
            options=PLAN.followup_options(),
            science=science("measures.followup_rows", "measures.tasks"),
        script:
            "../scripts/followup.py"

    remember_batch(batch, "followup")
