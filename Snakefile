"""headscarp: a table of contents. Every rule stands in workflow/rules, one stage a file."""

import gc
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")

# A graph of thousands of jobs lives to the end: going through it for garbage again and again is a fifth of the planning.
gc.set_threshold(200_000, 50, 100)


configfile: "config.yaml"


LIBRARY = Path(workflow.basedir) / "workflow" / "scripts"
sys.path.insert(0, str(LIBRARY))
# Jobs, too, run the library beside this Snakefile, not the one that is installed, which may be that of another clone.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(LIBRARY), os.environ.get("PYTHONPATH")]))

from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.plan.targets import describe_targets, named_exhibits
from headscarp.quiet_scheduler import keep_one_timer

keep_one_timer()

try:
    plan = load_plan(config, workflow.basedir)
except HeadscarpError as error:
    raise WorkflowError(str(error)) from None

# Where a job runs and fetches is no part of what it makes: handed on by the environment, it redoes nothing when it changes.
os.environ.update(plan.environment)

for card, reason in plan.skipped.items():
    logger.warning(f"Card {card} is skipped: {reason}.")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/site.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/mapping.smk"
include: "workflow/rules/scoring.smk"
include: "workflow/rules/exhibits.smk"
include: "workflow/rules/delivery.smk"
include: "workflow/rules/rehearsal.smk"


# Rules with a docstring are what can be asked for by name; `snakemake list` prints them with the cards and exhibits.
rule all:
    """Everything that the selected cards deliver; what plain `snakemake` makes."""
    default_target: True
    input:
        plan.all_targets,
        GALLERY,


rule tables:
    """Every table, with the verdicts on the claims and the audit."""
    input:
        plan.exhibits.targets(tables=True),
        plan.claims.tables,
        plan.audit.targets,


rule figures:
    """Every figure, with the forest plot of the claims."""
    input:
        plan.exhibits.targets(tables=False),
        plan.claims.figures,


rule claims:
    """Verdicts on the claims of the papers, each tested on stored scores."""
    input:
        plan.claims.targets,


rule audit:
    """The published numbers of the papers, checked against themselves."""
    input:
        plan.audit.targets,


rule rehearse:
    """A forecast of hours, memory and disk at the chosen scale, from two steps of every training and small simulated sites."""
    input:
        FORECAST,


rule list:
    """This list; `snakemake list 2>/dev/null` prints nothing else."""
    localrule: True
    params:
        text=lambda wildcards: describe_targets(
            plan, exhibits, {rule.name: rule.docstring for rule in workflow.rules if rule.docstring}
        ),
    message:
        "Listing what can be made"
    script:
        "workflow/scripts/list.py"


try:
    exhibits = named_exhibits(plan, [rule.name for rule in workflow.rules])
except HeadscarpError as error:
    raise WorkflowError(str(error)) from None


# One named target a card: `snakemake gao2021`.
for card in plan.cards:

    rule:
        name:
            card
        input:
            plan.targets(card),


# One an exhibit: `snakemake gao2021_table7`.
for name, exhibit in exhibits.items():

    rule:
        name:
            name
        input:
            exhibit.files,
