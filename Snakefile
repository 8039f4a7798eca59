"""headscarp: a table of contents. Every rule stands in workflow/rules, one stage a file."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


LIBRARY = Path(workflow.basedir) / "workflow" / "scripts"
sys.path.insert(0, str(LIBRARY))

from headscarp.errors import HeadscarpError
from headscarp.plan import load_plan

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
include: "workflow/rules/acquire.smk"
include: "workflow/rules/terrain.smk"
include: "workflow/rules/stack.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/exhibits.smk"


rule all:
    default_target: True
    input:
        [plan.targets(card) for card in plan.selected],
        plan.claim_targets(),
        plan.audit_targets(),


# One named target a card: `snakemake gao2021`.
for card in plan.cards:

    rule:
        name:
            card
        input:
            plan.targets(card),
