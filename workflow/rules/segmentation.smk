# Masks drawn by models. A job loads its model once and takes a batch of scans through it;
# a record is written for every scan, whatever happened to it.
for model in PLAN.torch_models():
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
                torch_environment("segmentation", PLAN.config.segmentation.device)
            threads: 1
            resources:
                mem_mb=batch_memory_mb("segment", batch),
                runtime=minutes(5 + 2 * len(batch.scans)),
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
                science=science("segmentation.scans"),
            script:
                "../scripts/segment.py"

        remember_batch(batch, "segment")
