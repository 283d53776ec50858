# Maps of spinal levels from rootlets: of images, but after the masks and labels they are made of, and
# made with what the measures are made with.
for batch in PLAN.level_map_batches():

    rule:
        name:
            batch.rule
        input:
            inputs_of(batch),
        output:
            batch.record,
        log:
            log_of("images", f"level_maps_{batch.name}"),
        benchmark:
            benchmark_of("images", f"level_maps_{batch.name}")
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
            models=PLAN.models(),
            options=PLAN.measure_options("spinal"),
            science=science("images.level_maps", "measures.tasks"),
        script:
            "../scripts/level_maps.py"

    remember_batch(batch, "level_maps")
