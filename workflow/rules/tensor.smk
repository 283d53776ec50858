# Tensor maps, fitted inside the dilated cord: of images, but after the masks that they need.
for batch in PLAN.tensor_batches():

    rule:
        name:
            batch.rule
        input:
            inputs_of(batch),
        output:
            batch.record,
        log:
            log_of("images", f"tensor_{batch.name}"),
        benchmark:
            benchmark_of("images", f"tensor_{batch.name}")
        conda:
            "../../envs/images.yaml"
        threads: 1
        resources:
            mem_mb=batch_memory_mb("tensor", batch),
            runtime=minutes(5 + 2 * len(batch.scans)),
        params:
            scans=batch.scans,
            files=batch.outputs,
            identity=batch.identity,
            each=each_scan(batch),
            models=PLAN.cord_models(),
            options=PLAN.tensor_options(),
            science=science("images.derive"),
        script:
            "../scripts/tensor.py"

    remember_batch(batch, "tensor")
