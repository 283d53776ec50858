# nnU-Net v2, in an environment of its own: trainings as the papers did them, and masks by models that
# the study trained so or that were published as nnU-Net model folders. A stopped fold goes on from
# its last checkpoint, which lies beside its outputs.
for entry in PLAN.nnunet_trainings():

    rule:
        name:
            f"nnunet_prepare_{entry['name']}"
        input:
            made_by_rules(PLAN.training_inputs(entry)),
        output:
            PLAN.nnunet_planned(entry),
        log:
            log_of("training", f"{entry['name']}_prepare"),
        benchmark:
            benchmark_of("training", f"{entry['name']}_prepare")
        conda:
            "../../envs/nnunet.yaml"
        threads: entry["threads"]
        resources:
            mem_mb=memory_mb(8000),
            runtime=1440,
        params:
            entry=PLAN.training_params(entry),
            science=science("nnunet.declared"),
        script:
            "../scripts/nnunet_prepare.py"

    remember(f"nnunet_prepare_{entry['name']}", "train")

    for fold, record in enumerate(PLAN.nnunet_folds(entry)):

        rule:
            name:
                f"nnunet_train_{entry['name']}_fold{fold}"
            input:
                made_by_rules([PLAN.nnunet_planned(entry)]),
            output:
                record,
            log:
                log_of("training", f"{entry['name']}_fold{fold}"),
            benchmark:
                benchmark_of("training", f"{entry['name']}_fold{fold}")
            conda:
                "../../envs/nnunet.yaml"
            threads: entry["threads"]
            resources:
                mem_mb=memory_mb(16000),
                runtime=5760,
                gpu=int(entry["device"] == "cuda"),
            params:
                entry=PLAN.training_params(entry),
                fold=fold,
                science=science("nnunet.declared"),
            script:
                "../scripts/nnunet_train.py"

        remember(f"nnunet_train_{entry['name']}_fold{fold}", "train")

    rule:
        name:
            f"nnunet_publish_{entry['name']}"
        input:
            made_by_rules([PLAN.nnunet_planned(entry)]),
            folds=made_by_rules(PLAN.nnunet_folds(entry)),
        output:
            PLAN.nnunet_outputs(entry),
        log:
            log_of("training", f"{entry['name']}_publish"),
        benchmark:
            benchmark_of("training", f"{entry['name']}_publish")
        conda:
            "../../envs/nnunet.yaml"
        threads: 1
        resources:
            mem_mb=memory_mb(4000),
            runtime=30,
        params:
            entry=PLAN.training_params(entry),
            science=science("nnunet.declared"),
        script:
            "../scripts/nnunet_publish.py"

    remember(f"nnunet_publish_{entry['name']}", "train")


for model in PLAN.nnunet_models():
    for batch in PLAN.segmentation_batches(model):

        rule:
            name:
                batch.rule
            input:
                made_by_rules(batch.inputs),
                model=made_by_rules(PLAN.model_files(model)),
            output:
                batch.outputs,
            log:
                log_of("segmentation", f"{model}_{batch.name}"),
            benchmark:
                benchmark_of("segmentation", f"{model}_{batch.name}")
            conda:
                "../../envs/nnunet.yaml"
            threads: 1
            resources:
                mem_mb=batch_memory_mb("nnunet", batch),
                runtime=10 + 10 * len(batch.scans),
                gpu=int(PLAN.config.segmentation.device == "cuda"),
            params:
                scans=batch.scans,
                identity=batch.identity,
                model=PLAN.model_source(model),
                use=PLAN.use(model).as_params(),
                device=PLAN.config.segmentation.device,
                mirror=PLAN.config.segmentation.mirror,
                science=science("segmentation.scans", "nnunet.model"),
            script:
                "../scripts/segment_nnunet.py"

        remember(batch.rule, "segment")
