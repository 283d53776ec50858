# The small tables of all batches become the one long table, with the exclusion list and measures
# from elsewhere.
rule cohort:
    input:
        # Unnamed: of a named list the engine hashes the whole for every member.
        STAGES.inputs(PLAN.measure_records),
        index=paths.INDEX,
        exclude=PLAN.exclusion_files(),
        external=PLAN.external_files(),
        splits=PLAN.split_files(),
    output:
        table=paths.COHORT,
        text=paths.COHORT.replace(".parquet", ".tsv"),
        scans=paths.SCANS,
    log:
        log_of("cohort", "cohort"),
    benchmark:
        benchmark_of("cohort", "cohort")
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=30,
    params:
        exclusions=PLAN.config.exclusions,
        external=PLAN.config.external_measures,
        models=PLAN.config.segmentation.models,
        seeds=PLAN.seeds(),
        tested=PLAN.tested(),
        science=science("cohort"),
    script:
        "../scripts/cohort.py"
