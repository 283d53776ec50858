# Small tables, one a scan and kind of measure: shape of every mask, agreement of every method with
# the reference, diffusion maps by region, lesions.
for kind in MEASURE_KINDS:
    stage = Stage(STAGES, kind, PLAN.measure_batches, [kind])

    rule:
        name:
            kind
        input:
            stage.inputs,
        output:
            stage.record,
        log:
            log_of("measures", f"{kind}_{{batch}}"),
        benchmark:
            benchmark_of("measures", f"{kind}_{{batch}}")
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
            each=each_scan(stage, kind),
            kind=kind,
            models=PLAN.models(),
            not_drawn=stage.of_each(functools.partial(PLAN.not_drawn, kind)),
            options=PLAN.measure_options(kind),
            science=science(MEASURE_KINDS[kind], "measures.tasks"),
        script:
            "../scripts/measure.py"

    as_stage(kind, kind)
