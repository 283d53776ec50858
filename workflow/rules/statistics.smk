# One tidy table for every analysis that the config declares.
rule analysis:
    input:
        table=paths.COHORT,
        scores=paths.SCORES,
    output:
        table="results/statistics/{analysis}.tsv",
        counts="results/statistics/{analysis}.counts.tsv",
        record="results/statistics/{analysis}.json",
    wildcard_constraints:
        analysis="|".join(PLAN.analyses()) or "none",
    log:
        "results/logs/statistics/{analysis}.log",
    benchmark:
        "results/benchmarks/statistics/{analysis}.tsv"
    params:
        options=PLAN.analysis_options,
        science=science_digest("statistics.run"),
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=30,
    conda:
        "../../envs/statistics.yaml"
    script:
        "../scripts/analysis.py"
