# Small tables, one a scan and kind of measure: shape of every mask, agreement of every method with
# the reference, diffusion maps by region, lesions.
for kind in MEASURE_KINDS:
    for batch in PLAN.measure_batches(kind):

        rule:
            name:
                batch.rule
            input:
                inputs_of(batch),
            output:
                batch.record,
            log:
                log_of("measures", f"{kind}_{batch.name}"),
            benchmark:
                benchmark_of("measures", f"{kind}_{batch.name}")
            conda:
                "../../envs/measures.yaml"
            threads: 1
            resources:
                mem_mb=batch_memory_mb("measure", batch),
                runtime=minutes(5 + len(batch.scans)),
            params:
                scans=batch.scans,
                files=batch.outputs,
                identity=batch.identity,
                each=each_scan(batch),
                kind=kind,
                models=PLAN.models(),
                not_drawn=PLAN.not_drawn(kind, batch),
                soft_truth=PLAN.config.images.soft_truth.make,
                options=PLAN.measure_options(kind),
                science=science(MEASURE_KINDS[kind], "measures.tasks"),
            script:
                "../scripts/measure.py"

        remember_batch(batch, kind)
