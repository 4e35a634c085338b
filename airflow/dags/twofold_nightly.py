"""Nightly back-fill: archive the log, build training sets and indexes, train, publish.

No logic lives here: each task is one call of the `twofold` binary, which is idempotent, so a task can
be retried and a day can be cleared and run again. Set the Airflow variables `twofold_binary`,
`twofold_data` and `twofold_definitions`, or keep the defaults.
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

CALL = (
    "{{ var.value.get('twofold_binary', 'twofold') }}"
    " --data {{ var.value.get('twofold_data', './twofold-data') }}"
    " --definitions {{ var.value.get('twofold_definitions', './feature-definitions') }}"
    " --json"
)

with DAG(
    dag_id="twofold_nightly",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
) as dag:
    steps = [
        BashOperator(task_id=command, bash_command=f"{CALL} {command}")
        for command in ("archive", "backfill", "train")
    ]
    for earlier, later in zip(steps, steps[1:]):
        earlier >> later
