"""`operate`: a deployment from one TOML: written, checked, served, and how it is doing."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction, Force, optional
from compagnon.cli.stores import DB, Db, opened
from compagnon.errors import InputError

Deployment = Annotated[Path, Positional, arg(metavar="FILE.toml", help="a deployment")]


def init(
    policy: Annotated[Path, Positional, arg(metavar="POLICY", help="an exported policy, or a run")],
    /,
    out: Annotated[Path, arg(metavar="FILE.toml", help="where it is written")] = Path(
        "deployment.toml"
    ),
    application: Annotated[str, arg(metavar="NAME", help="whose decisions these are")] = "default",
    force: Force = False,
) -> int:
    """Write a deployment of a policy, to be filled in: its outcomes above all.

    $ compagnon operate init runs/workshop-tight --application workshop
    """
    import os

    from compagnon.operations.deployment import template
    from compagnon.policy.artefact import load_manifest
    from compagnon.policy.loading import artefact_directory

    output.claim(force, out)
    schema = load_manifest(artefact_directory(policy)).schema_
    actions = schema.action.n if schema.action.kind == "discrete" else None
    beside = os.path.relpath(os.path.realpath(policy), os.path.realpath(out.parent))
    output.write_text(out, template(application, beside, schema.env_id, actions))
    output.console().print(
        f"wrote {out}: name the outcomes that clients send, then `compagnon operate check {out}`",
        soft_wrap=True,
    )
    return 0


def check(file: Deployment, /) -> int:
    """Read a deployment, and say what it is; a fault is named with its key.

    $ compagnon operate check deployment.toml
    """
    from compagnon.operations.deployment import check_policies, load_deployment

    found = load_deployment(file)
    try:
        check_policies(found)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    objective = found.objective
    words = " ".join(f"{weight:+g} {name}" for name, weight in objective.weights.items())
    console = output.console()
    console.print(f"{found.application}: {found.policy} decides", soft_wrap=True)
    for name, policy in found.arms.items():
        console.print(f"arm {name}: {policy}", soft_wrap=True)
    console.print(f"objective: {words}", soft_wrap=True)
    for one in found.outcomes:
        console.print(f"outcome {one.name}: within {one.matures_after}, else {one.missing}")
    return 0


def serve(
    file: Deployment,
    /,
    db: Annotated[
        str | None, optional("DB", "the store; without it that of the file, else COMPAGNON_DB")
    ] = None,
) -> int:
    """Make its outcomes known to the store, then decide over HTTP; by arms in an experiment.

    An experiment that runs in the store when the service starts (`compagnon experiment start`)
    decides who decides; stopped there, it is over within a second.

    $ compagnon operate serve deployment.toml
    """
    from compagnon.serving import signals

    signals.hold()  # before anything that takes its time
    from compagnon.cli.serve import decide_until_ended
    from compagnon.operations.deployment import load_deployment
    from compagnon.operations.deployment_status import define_outcomes, experiment_of
    from compagnon.serving.repository import open_service_store
    from compagnon.store.address import database_address

    found = load_deployment(file)
    settings = found.settings(database_address(db or found.db))
    store = open_service_store(settings)
    try:
        define_outcomes(store, found)
        experiment = experiment_of(store, found)
    finally:
        store.close()
    if experiment is not None:
        arms = ", ".join(experiment.assigner.arms)
        output.console().print(f"experiment {experiment.assigner.name} runs: {arms}")
    return decide_until_ended(settings, experiment)


def status(file: Deployment, /, db: Db = DB) -> int:
    """Say in words how a deployment is doing; ends with 1 where something should be looked at.

    $ compagnon operate status deployment.toml
    """
    from compagnon.operations.deployment import load_deployment
    from compagnon.operations.deployment_status import deployment_status

    found = load_deployment(file)
    with opened(db or found.db) as store:
        standing = deployment_status(store, found)
    console = output.console()
    for sentence in standing.sentences:
        console.print(sentence, soft_wrap=True)
    for alarm in standing.alarms:
        console.print(f"alarm: {alarm}", soft_wrap=True)
    return 1 if standing.alarms else 0


OPERATE_COMMANDS: dict[str, CommandFunction] = {
    "init": init, "check": check, "serve": serve, "status": status,
}  # fmt: skip
