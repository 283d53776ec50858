# All small tables become the one long table, with the exclusion list and measures from elsewhere.
rule cohort:
    input:
        tables=PLAN.measure_tables(),
        index=paths.INDEX,
        exclude=PLAN.exclusion_files(),
        external=PLAN.external_files(),
    output:
        table=paths.COHORT,
        text=paths.COHORT.replace(".parquet", ".tsv"),
        scans=paths.SCANS,
    log:
        log_of("cohort", "cohort"),
    benchmark:
        benchmark_of("cohort", "cohort")
    params:
        options=PLAN.cohort_options(),
        science=science_digest("cohort"),
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=30,
    conda:
        "../../envs/statistics.yaml"
    script:
        "../scripts/cohort.py"
