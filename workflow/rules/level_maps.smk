# Maps of spinal levels from rootlets: of images, but after the masks and labels they are made of, and
# made with what the measures are made with.
stage = Stage(STAGES, "level_maps", PLAN.level_map_batches)


rule level_maps:
    input:
        stage.inputs,
    output:
        stage.record,
    log:
        log_of("images", "level_maps_{batch}"),
    benchmark:
        benchmark_of("images", "level_maps_{batch}")
    conda:
        "../../envs/measures.yaml"
    threads: 1
    resources:
        mem_mb=stage.memory_mb("measure"),
        runtime=stage.minutes(5, per_scan=1),
    params:
        scans=stage.scans,
        files=stage.files,
        identity=stage.identity,
        each=each_scan(stage, "level_maps"),
        models=PLAN.models(),
        options=PLAN.measure_options("spinal"),
        science=science("images.level_maps", "measures.tasks"),
    script:
        "../scripts/level_maps.py"
