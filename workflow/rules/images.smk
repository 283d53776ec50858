# Images derived from images: the mean b=0 image that networks see, and the tensor maps.
for batch in PLAN.b0_batches():

    rule:
        name:
            f"mean_b0_{batch.name}"
        input:
            batch.inputs,
        output:
            batch.outputs,
        log:
            log_of("images", f"mean_b0_{batch.name}"),
        benchmark:
            benchmark_of("images", f"mean_b0_{batch.name}")
        conda:
            "../../envs/images.yaml"
        threads: 1
        resources:
            mem_mb=memory_mb(2000),
            runtime=5 + len(batch.scans),
        params:
            scans=batch.scans,
            b0_threshold_s_per_mm2=PLAN.config.images.b0_threshold_s_per_mm2,
            science=science_digest("images.derive"),
        script:
            "../scripts/mean_b0.py"


for batch in PLAN.tensor_batches():

    rule:
        name:
            f"tensor_{batch.name}"
        input:
            batch.inputs,
        output:
            batch.outputs,
        log:
            log_of("images", f"tensor_{batch.name}"),
        benchmark:
            benchmark_of("images", f"tensor_{batch.name}")
        conda:
            "../../envs/images.yaml"
        threads: 1
        resources:
            mem_mb=memory_mb(3000),
            runtime=5 + 2 * len(batch.scans),
        params:
            scans=batch.scans,
            models=list(PLAN.config.segmentation.models),
            options=PLAN.tensor_options(),
            science=science_digest("images.derive"),
        script:
            "../scripts/tensor.py"
