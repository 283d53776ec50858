# Models that the study trains itself. A run keeps its checkpoint beside its outputs, so a training
# that was stopped goes on where it was; nothing is defined here where none is declared.
for entry in PLAN.trainings():

    rule:
        name:
            f"train_{entry['name']}"
        input:
            STAGES.inputs(PLAN.training_inputs, entry),
        output:
            model_outputs(entry["name"], entry["task"]),
            model_split(entry["name"]),
        log:
            log_of("training", entry["name"]),
        benchmark:
            benchmark_of("training", entry["name"])
        conda:
            torch_environment("segmentation", entry["device"])
        threads: entry["threads"]
        resources:
            mem_mb=memory_mb(8000),
            runtime=2880,
            gpu=int(entry["device"] == "cuda"),
        params:
            entry=PLAN.training_params(entry),
            science=science("training.declared"),
        script:
            "../scripts/train.py"

    as_stage(f"train_{entry['name']}", "train")
