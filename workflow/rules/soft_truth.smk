# Soft ground truth of the cord: the masks of a session, averaged over its contrasts. Of images, but
# after the masks that it is made of; the scans of a session go through one job.
for batch in PLAN.soft_truth_batches():

    rule:
        name:
            batch.rule
        input:
            inputs_of(batch),
        output:
            batch.record,
        log:
            log_of("images", f"soft_truth_{batch.name}"),
        benchmark:
            benchmark_of("images", f"soft_truth_{batch.name}")
        conda:
            "../../envs/images.yaml"
        threads: 1
        resources:
            mem_mb=batch_memory_mb("soft_truth", batch),
            runtime=minutes(5 + 2 * len(batch.scans)),
        params:
            scans=batch.scans,
            files=batch.outputs,
            identity=batch.identity,
            each=each_scan(batch),
            options=PLAN.soft_truth_options(),
            left_out=PLAN.left_out_of_truth(batch),
            science=science("images.derive_truth"),
        script:
            "../scripts/soft_truth.py"

    remember_batch(batch, "soft_truth")
