# Intervertebral discs, detected where nobody labelled levels: after the cord masks, along which they
# are looked for. A record is written for every scan, whatever happened to it.
for batch in PLAN.disc_batches():

    rule:
        name:
            batch.rule
        input:
            inputs_of(batch),
            model=PLAN.model_files(DISC_MODEL),
        output:
            batch.record,
        log:
            log_of("segmentation", f"discs_{batch.name}"),
        benchmark:
            benchmark_of("segmentation", f"discs_{batch.name}")
        conda:
            "../../envs/segmentation.yaml"
        threads: 1
        resources:
            mem_mb=batch_memory_mb("discs", batch),
            runtime=minutes(5 + len(batch.scans)),
        params:
            scans=batch.scans,
            files=batch.outputs,
            identity=batch.identity,
            each=each_scan(batch),
            models=PLAN.cord_models(),
            science=science("segmentation.discs"),
        script:
            "../scripts/discs.py"

    remember_batch(batch, "discs")
