# cordcohort: from the BIDS data of a multi-centre study to its report.
# The rule files stand in the order in which the data goes.
include: "workflow/rules/common.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/nnunet_training.smk"
include: "workflow/rules/segmentation.smk"
include: "workflow/rules/nnunet.smk"
include: "workflow/rules/experiments.smk"
include: "workflow/rules/resolution.smk"
include: "workflow/rules/soft_truth.smk"
include: "workflow/rules/discs.smk"
include: "workflow/rules/tensor.smk"
include: "workflow/rules/level_maps.smk"
include: "workflow/rules/measures.smk"
include: "workflow/rules/followups.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/report/index.html",
        STAGES.inputs(PLAN.experiment_tables),


# Whoever forces a job wants all scans of it made anew.
onstart:
    for job in workflow.dag.needrun_jobs():
        if workflow.dag.reason(job).forced and "each" in job.params.keys():
            Path(job.params.each["list"]).unlink(missing_ok=True)


looking = workflow.output_settings.dryrun or only_looks(sys.argv)
if workflow.is_main_process and not looking:
    PLAN.withdraw_truths()
sys.stderr.write(STAGES.close(may_change=not looking))

# All rules are defined: the scans need not lie in memory while the graph is built. A job on a node
# asks the plan only now.
if workflow.is_main_process:
    PLAN.forget_scans()
