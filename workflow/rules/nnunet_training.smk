# Trainings by nnU-Net v2, as the papers did them, in an environment of its own. A fold that was
# stopped goes on from its last checkpoint, which lies beside its outputs.
for entry in PLAN.trainings("nnunet"):

    rule:
        name:
            f"nnunet_prepare_{entry['name']}"
        input:
            STAGES.inputs(PLAN.training_inputs, entry),
        output:
            planned_record(entry["name"]),
        log:
            log_of("training", f"{entry['name']}_prepare"),
        benchmark:
            benchmark_of("training", f"{entry['name']}_prepare")
        conda:
            torch_environment("nnunet", entry["device"])
        threads: entry["threads"]
        resources:
            mem_mb=memory_mb(8000),
            runtime=1440,
        params:
            entry=PLAN.training_params(entry),
            science=science("nnunet.declared"),
        script:
            "../scripts/nnunet_prepare.py"

    as_stage(f"nnunet_prepare_{entry['name']}", "train")
    for fold, record in enumerate(PLAN.nnunet_folds(entry)):

        rule:
            name:
                f"nnunet_train_{entry['name']}_fold{fold}"
            input:
                planned_record(entry["name"]),
            output:
                record,
            log:
                log_of("training", f"{entry['name']}_fold{fold}"),
            benchmark:
                benchmark_of("training", f"{entry['name']}_fold{fold}")
            conda:
                torch_environment("nnunet", entry["device"])
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

        as_stage(f"nnunet_train_{entry['name']}_fold{fold}", "train")

    rule:
        name:
            f"nnunet_publish_{entry['name']}"
        input:
            planned_record(entry["name"]),
            folds=PLAN.nnunet_folds(entry),
        output:
            nnunet_outputs(entry["name"]),
            model_split(entry["name"]),
        log:
            log_of("training", f"{entry['name']}_publish"),
        benchmark:
            benchmark_of("training", f"{entry['name']}_publish")
        conda:
            torch_environment("nnunet", entry["device"])
        threads: 1
        resources:
            mem_mb=memory_mb(4000),
            runtime=30,
        params:
            entry=PLAN.training_params(entry),
            science=science("nnunet.declared"),
        script:
            "../scripts/nnunet_publish.py"

    as_stage(f"nnunet_publish_{entry['name']}", "train")
