# Scans brought to other voxel sizes and segmented there, where the config asks for it; the kind of
# measure `resolution` measures them.
for model in PLAN.torch_models():
    for batch in PLAN.resolution_batches(model):

        rule:
            name:
                batch.rule
            input:
                inputs_of(batch),
                model=PLAN.model_files(model),
            output:
                batch.record,
            log:
                log_of("segmentation", f"resampled_{model}_{batch.name}"),
            benchmark:
                benchmark_of("segmentation", f"resampled_{model}_{batch.name}")
            conda:
                torch_environment("segmentation", PLAN.config.segmentation.device)
            threads: 1
            resources:
                mem_mb=batch_memory_mb("segment", batch),
                runtime=minutes(5 + 2 * len(batch.outputs)),
                gpu=int(PLAN.config.segmentation.device == "cuda"),
            params:
                scans=batch.scans,
                files=batch.outputs,
                identity=batch.identity,
                each=each_scan(batch),
                model=PLAN.model_source(model),
                use=PLAN.use(model).as_params(),
                device=PLAN.config.segmentation.device,
                mirror=PLAN.config.segmentation.mirror,
                sizes_mm=list(PLAN.config.measures.voxel_sizes_mm),
                science=science("segmentation.scans"),
            script:
                "../scripts/segment_resampled.py"

        remember_batch(batch, "segment")
