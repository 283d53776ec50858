# One tidy table for every analysis that the config declares.
rule analysis:
    input:
        table=paths.COHORT,
        scores=paths.SCORES,
        external=PLAN.external_files(),
    output:
        table="results/statistics/{analysis}.tsv",
        counts="results/statistics/{analysis}.counts.tsv",
        record="results/statistics/{analysis}.json",
    log:
        "results/logs/statistics/{analysis}.log",
    benchmark:
        "results/benchmarks/statistics/{analysis}.tsv"
    wildcard_constraints:
        analysis="|".join(PLAN.analyses()) or "none",
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=30,
    params:
        options=declared_analysis,
        external=PLAN.config.external_measures,
        science=science("statistics.run", "statistics.read", "cohort.external"),
    script:
        "../scripts/analysis.py"
