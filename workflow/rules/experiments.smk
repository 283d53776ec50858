# Experiments: scans ranked and exported for correction by people, and what came back from them. The
# training of every phase and seed is a rule of training.smk.
for job in PLAN.ranking_jobs():

    rule:
        name:
            job.rule
        input:
            STAGES.inputs(list, job.inputs),
        output:
            job.outputs,
        log:
            log_of("experiments", job.rule),
        benchmark:
            benchmark_of("experiments", job.rule)
        conda:
            "../../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=memory_mb(4000),
            runtime=60,
        params:
            job=job.params,
            science=science("experiments.export"),
        script:
            "../scripts/rank_scans.py"

    as_stage(job.rule, "rank")


for job in PLAN.corrected_jobs():

    rule:
        name:
            job.rule
        input:
            STAGES.inputs(list, job.inputs),
        output:
            job.outputs,
        log:
            log_of("experiments", job.rule),
        benchmark:
            benchmark_of("experiments", job.rule)
        conda:
            "../../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=memory_mb(4000),
            runtime=60,
        params:
            job=job.params,
            science=science("experiments.corrected_table"),
        script:
            "../scripts/corrected.py"

    as_stage(job.rule, "corrected")
