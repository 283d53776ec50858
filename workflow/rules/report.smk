# The report: pictures of every mask, a page a subject, the index page.
for batch in PLAN.picture_batches():

    rule:
        name:
            batch.rule
        input:
            inputs_of(batch),
        output:
            batch.outputs,
        log:
            log_of("report", f"pictures_{batch.name}"),
        benchmark:
            benchmark_of("report", f"pictures_{batch.name}")
        conda:
            "../../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=batch_memory_mb("pictures", batch),
            runtime=minutes(5 + len(batch.scans)),
        params:
            scans=batch.scans,
            identity=batch.identity,
            each=each_scan(batch),
            science=science("report.pictures"),
        script:
            "../scripts/pictures.py"

    remember(batch.rule, "pictures")


rule subject_pages:
    input:
        paths.COHORT,
        paths.SCANS,
        paths.SCORES,
        made_by_rules(PLAN.picture_records()),
    output:
        directory("results/report/subjects"),
    log:
        log_of("report", "subject_pages"),
    benchmark:
        benchmark_of("report", "subject_pages")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        settings=PLAN.report_settings(),
        templates=files_digest("report/templates"),
        science=science("report.build"),
    script:
        "../scripts/subject_pages.py"


rule report:
    input:
        paths.COHORT,
        paths.SCANS,
        paths.SCORES,
        [f"results/statistics/{name}.json" for name in PLAN.analyses()],
        pages="results/report/subjects",
    output:
        "results/report/index.html",
    log:
        log_of("report", "report"),
    benchmark:
        benchmark_of("report", "report")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        settings=PLAN.report_settings(),
        exclusions=PLAN.config.exclusions,
        templates=files_digest("report/templates"),
        science=science("report.build"),
    script:
        "../scripts/report.py"
