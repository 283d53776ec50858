# The report: pictures of every mask, a page a subject, the index page.
stage = Stage(STAGES, "pictures", PLAN.picture_batches, record=PICTURES_RECORD)


rule pictures:
    input:
        stage.inputs,
    output:
        stage.record,
    log:
        log_of("report", "pictures_{batch}"),
    benchmark:
        benchmark_of("report", "pictures_{batch}")
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=stage.memory_mb("pictures"),
        runtime=stage.minutes(5, per_scan=1),
    params:
        scans=stage.scans,
        identity=stage.identity,
        each=each_scan(stage, "pictures"),
        science=science("report.pictures"),
    script:
        "../scripts/pictures.py"


rule subject_pages:
    input:
        paths.COHORT,
        paths.SCANS,
        paths.SCORES,
        paths.PARTICIPANTS,
        STAGES.inputs(PLAN.picture_records),
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
        paths.PARTICIPANTS,
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
