# Images derived from images: diffusion series without motion, and the mean b=0 image that networks see.
for batch in PLAN.b0_batches():

    rule:
        name:
            batch.rule
        input:
            inputs_of(batch),
        output:
            batch.record,
        log:
            log_of("images", f"mean_b0_{batch.name}"),
        benchmark:
            benchmark_of("images", f"mean_b0_{batch.name}")
        conda:
            "../../envs/images.yaml"
        threads: 1
        resources:
            mem_mb=batch_memory_mb("mean_b0", batch),
            runtime=minutes(5 + 2 * len(batch.scans)),
        params:
            scans=batch.scans,
            files=batch.outputs,
            identity=batch.identity,
            each=each_scan(batch),
            options=PLAN.series_options(),
            science=science("images.derive"),
        script:
            "../scripts/mean_b0.py"

    remember_batch(batch, "mean_b0")
