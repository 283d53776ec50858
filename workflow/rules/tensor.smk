# Tensor maps, fitted inside the dilated cord: of images, but after the masks that they need.
stage = Stage(STAGES, "tensor", PLAN.tensor_batches)


rule tensor:
    input:
        stage.inputs,
    output:
        stage.record,
    log:
        log_of("images", "tensor_{batch}"),
    benchmark:
        benchmark_of("images", "tensor_{batch}")
    conda:
        "../../envs/images.yaml"
    threads: 1
    resources:
        mem_mb=stage.memory_mb("tensor"),
        runtime=stage.minutes(5, per_scan=2),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "tensor"),
        models=PLAN.cord_models(),
        options=PLAN.tensor_options(),
        science=science("images.derive"),
    script:
        "../scripts/tensor.py"
