# Masks by nnU-Net v2, in an environment of its own: models that the study trained so, or that were
# published as nnU-Net model folders; on the scans, and on scans brought to other voxel sizes.
for model in PLAN.nnunet_models():
    for batch in PLAN.segmentation_batches(model):

        rule:
            name:
                batch.rule
            input:
                inputs_of(batch),
                model=made_by_rules(PLAN.model_files(model)),
            output:
                batch.record,
            log:
                log_of("segmentation", f"{model}_{batch.name}"),
            benchmark:
                benchmark_of("segmentation", f"{model}_{batch.name}")
            conda:
                torch_environment("nnunet", PLAN.config.segmentation.device)
            threads: 1
            resources:
                mem_mb=batch_memory_mb("nnunet", batch),
                runtime=minutes(10 + 10 * len(batch.scans)),
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
                science=science("segmentation.scans", "nnunet.model"),
            script:
                "../scripts/segment_nnunet.py"

        remember_batch(batch, "segment")


for model in PLAN.nnunet_models():
    for batch in PLAN.resolution_batches(model):

        rule:
            name:
                batch.rule
            input:
                inputs_of(batch),
                model=made_by_rules(PLAN.model_files(model)),
            output:
                batch.record,
            log:
                log_of("segmentation", f"resampled_{model}_{batch.name}"),
            benchmark:
                benchmark_of("segmentation", f"resampled_{model}_{batch.name}")
            conda:
                torch_environment("nnunet", PLAN.config.segmentation.device)
            threads: 1
            resources:
                mem_mb=batch_memory_mb("nnunet", batch),
                runtime=minutes(10 + 10 * len(batch.outputs)),
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
                science=science("segmentation.scans", "nnunet.model"),
            script:
                "../scripts/segment_resampled_nnunet.py"

        remember_batch(batch, "segment")
